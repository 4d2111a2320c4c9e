"""What stands around content and is none goes, unless it was asked for."""

import time

from demiurgic.curate.filters.boilerplate import boilerplate
from row_batches import reasons, talks

BANNER = "This website uses cookies. Accept all cookies. Read our privacy policy. Subscribe to our newsletter!"
LICENSE = "# Copyright 2020 Someone\n# Licensed under the Apache License, Version 2.0\n# See the file LICENSE.\n"


def why(asked, answer, **options):
    return reasons(boilerplate(talks((asked, answer)), **options))[0]


def test_a_cookie_banner_is_page_furniture():
    assert why("What is the tallest mountain?", BANNER) == "page furniture"


def test_a_menu_is_page_furniture():
    assert (
        why("Who won?", "Skip to main content\nHome | News\nLog in | Sign up\nFollow us on Facebook")
        == "page furniture"
    )


def test_the_same_words_stay_where_a_page_was_asked_for():
    assert why("Write a footer for my website.", BANNER) is None


def test_content_with_one_such_line_stays():
    text = (
        "Everest is the tallest mountain. It lies in the Himalayas. Climbers need oxygen. Subscribe to our newsletter."
    )
    assert why("What is the tallest mountain?", text) is None


def test_lorem_ipsum_goes_unless_asked_for():
    assert why("Describe a tree.", "Lorem ipsum dolor sit amet.") == "filler text"
    assert why("Give me some placeholder text.", "Lorem ipsum dolor sit amet.") is None


def test_a_licence_header_without_code_goes():
    assert why("Write a parser.", LICENSE) == "a licence header only"
    assert why("Write a parser.", LICENSE + "def parse(text):\n    return text.split()\n") is None


def test_placeholders_go_only_on_request():
    letter = "Dear Ann, I write to you about the flat. Yours, [Your Name]"
    assert why("Write a letter.", letter) is None
    assert why("Write a letter.", letter, placeholders=True) == "a placeholder left in"


def test_the_bounds_are_options():
    mixed = f"Everest is the tallest mountain. It is in Asia. It is cold there. It is high. It is far. {BANNER}"
    assert why("Mountain?", mixed) == "page furniture"
    assert why("Mountain?", mixed, min_share=0.6) is None
    assert why("Mountain?", mixed, min_phrases=5) is None


def test_a_long_run_of_empty_lines_is_no_slower_than_linear():
    started = time.process_time()
    why("Hi", "Click here to subscribe." + "\n" * 100_000)
    assert time.process_time() - started < 2
