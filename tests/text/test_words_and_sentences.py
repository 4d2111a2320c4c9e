"""Words, sentences and entries of a lexicon are counted as plain Python would count them."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.text.lexicon import Lexicon
from demiurgic.text.measures import words_of
from demiurgic.text.utf8 import Texts
from tiny_rows import a_few

LEXICON = Lexicon.of(
    {"in en": ["the", "and", "is"], "in ru": ["это", "и"], "tasks": ["write story", "poem"], "both": ["is", "poem"]}
)
LATIN_AND_CYRILLIC = "abcxyzABCéÉüÜßжЖяЯё .,!?\n'`0123-\t"
ONE_CHARACTER = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")


def plain_words(text: str) -> list[str]:
    """Runs of letters, but each Han, Kana or Hangul character for itself; fenced blocks left out."""
    found, run = [], ""
    for letter in re.sub(r"(?ms)^[ \t]*```.*?(^[ \t]*```|\Z)", "\n", text):
        if ONE_CHARACTER.match(letter):
            found += [run, letter]
            run = ""
        elif unicodedata.category(letter)[0] == "L":
            run += letter
        else:
            found.append(run)
            run = ""
    return [word.lower() for word in [*found, run] if word]


def counted(*texts: str):
    return words_of(Texts.of(list(texts)), LEXICON)


@a_few
@given(st.lists(st.text(LATIN_AND_CYRILLIC + "中文かなカナ한글"), max_size=5))
def test_words_and_different_words_are_those_of_plain_python(texts):
    found = counted(*texts)
    assert found["words"].tolist() == [len(plain_words(text)) for text in texts]
    assert found["distinct"].tolist() == [len(set(plain_words(text))) for text in texts]


@a_few
@given(
    st.lists(st.sampled_from(["the", "The", "and", "a", "write", "story", "poem", "ЭТО", "и", ".", "\n"]), max_size=30)
)
def test_entries_are_counted_by_class_whatever_their_case(words):
    found = counted(" ".join(words))
    small = [word.lower() for word in words]
    assert found.of("in en")[0] == small.count("the") + small.count("and")
    assert found.of("in ru")[0] == small.count("это") + small.count("и")


@pytest.mark.parametrize("text", ["write story", "Write a story", "WRITE the\tStory!", "write, an story"])
def test_a_phrase_is_found_across_an_article(text):
    assert counted(text).of("tasks")[0] == 1


@pytest.mark.parametrize("text", ["write. story", "write\nstory", "story write", "write one story", "rewrite story"])
def test_a_phrase_is_not_found_across_a_sentence_or_another_word(text):
    assert counted(text).of("tasks")[0] == 0


def test_an_entry_of_two_classes_counts_for_both():
    found = counted("a poem")
    assert (found.of("tasks")[0], found.of("both")[0]) == (1, 1)


def test_what_stands_in_fences_is_no_prose():
    found = counted("Run it:\n```py\nthe = 1\n```\nDone.")
    assert (found["words"][0], found["fences"][0], found.of("in en")[0]) == (3, 1, 0)


def test_a_fence_that_is_not_closed_goes_to_the_end():
    assert counted("Look:\n```\nthe the the")["words"][0] == 1


def test_sentences_that_end_differ_from_lines_that_break_off():
    found = counted("One thing. Two things! Three\nand a last line that just goes")
    assert found["sentences"][0] == 4
    assert found["ended_sentences"][0] == 2
    assert found["unfinished"][0] == 7


def test_a_decimal_point_ends_no_sentence():
    assert counted("It costs 3.50 at a.b.c today.")["sentences"][0] == 1


def test_a_sentence_is_joined_to_the_one_before_by_a_word_they_share():
    assert counted("The river is long. That river is deep.")["joined_sentences"][0] == 1
    assert counted("The river is long. My cat is grey.")["joined_sentences"][0] == 0


def test_repeated_trigrams_are_counted():
    assert counted("so it goes " * 5)["repeated_trigrams"][0] == 10
    assert counted("no three words come here more often than once")["repeated_trigrams"][0] == 0


def test_null_bytes_and_replaced_characters_are_broken():
    assert counted("a\0b \ufffd\ufffd\n\t\r")["broken"][0] == 3


def test_scripts_are_told_apart():
    found = counted("abc жзи αβγ אבג ابج हिं ไทย 漢字 かな 한글")
    scripts = ["latin", "cyrillic", "greek", "hebrew", "arabic", "thai", "han", "kana", "hangul"]
    assert [found[script][0] for script in scripts] == [3, 3, 3, 3, 3, 3, 2, 2, 2]
    assert found["devanagari"][0] == 3


@a_few
@given(st.lists(st.text(), min_size=1, max_size=6))
def test_a_text_counts_the_same_alone_and_among_others(texts):
    together = counted(*texts)
    alone = [counted(text) for text in texts]
    np.testing.assert_array_equal(together.facts_NF, np.concatenate([one.facts_NF for one in alone]))
    np.testing.assert_array_equal(together.counts_NC, np.concatenate([one.counts_NC for one in alone]))


def test_an_entry_that_no_text_could_hold_is_refused():
    with pytest.raises(ValueError, match="is not one or two words of letters"):
        Lexicon.of({"a": ["don't"]})
    with pytest.raises(ValueError, match="which phrases leave out"):
        Lexicon.of({"a": ["write a"]})
    with pytest.raises(ValueError, match="do not fit"):
        Lexicon.of({str(number): ["a"] for number in range(65)})


def test_a_text_of_ten_megabytes_is_counted():
    found = counted("word " * 2_000_000)
    assert (found["words"][0], found["distinct"][0]) == (2_000_000, 1)
