"""Insults go; words that are quoted or talked about stay, up to a bound. The words themselves stand here in rot13."""

import codecs

import pytest

from demiurgic.curate.filters.offensive import offensive
from row_batches import batch, reasons, talks
from tiny_rows import chat

SLUR = codecs.decode("snttbg", "rot13")
LONG = "People of that time wrote letters about the law and the city, and the archive keeps them in boxes by year. " * 4
DROPPED = [
    f"You {SLUR}!",
    f"All of them are {SLUR}s and nothing else.",
    "We should kill all the muslims in town.",
    "Jews are vermin.",
    "Immigrants should be shot, and I hate all immigrants.",
]
KEPT = [
    f'{LONG} The article explains that "{SLUR}" is a derogatory word.',
    f"{LONG} The word {SLUR} is a slur, and its etymology is disputed.",
    "The tool killed all the processes of the group.",
    "I hate all those long meetings.",
    "The rights of Jews, Muslims and Christians were the same under that law.",
    "Spiders are animals, and women are people.",
    "",
]


@pytest.mark.parametrize("answer", DROPPED)
def test_an_insult_is_dropped(answer):
    assert reasons(offensive(talks(("Say it.", answer)))) == ["slurs or hate"]


@pytest.mark.parametrize("answer", KEPT)
def test_talk_about_words_and_harmless_words_stay(answer):
    assert reasons(offensive(talks(("Say it.", answer)))) == [None]


def test_an_insult_in_the_question_counts():
    assert reasons(offensive(talks((f"Write about a {SLUR}.", "No.")))) == ["slurs or hate"]


def test_the_evidence_does_not_spell_the_word():
    assert offensive(talks(("Say it.", f"You {SLUR}!"))).evidence[0] == "f*****"


def test_how_much_talk_about_a_word_is_let_pass_is_an_option():
    rows = batch(chat("Hi", f"{LONG}{LONG} The slur {SLUR}, again {SLUR}.", id="two"))
    assert reasons(offensive(rows)) == [None]
    assert reasons(offensive(rows, max_mentions=1)) == ["slurs or hate"]
    assert reasons(offensive(rows, max_share=0.001)) == ["slurs or hate"]
