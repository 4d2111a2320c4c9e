"""The words of a text, taken from its bytes, are those that plain Python finds in its characters."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from demiurgic.text.letters import letters
from demiurgic.text.utf8 import Texts
from plain_sets import words

ODD = [
    "naïve CAFÉ",
    "“quoted” — dash…",
    "中文没有空格 and English",
    "カタカナ と ひらがな",
    "한국어 단어",
    "ภาษาไทย",
    "Привет МИР",
]
ODD += [
    "ὈΔΥΣΣΕΎΣ",
    "ＦＵＬＬ　ｗｉｄｔｈ！",
    "𝒳 math 😀 smile",
    "a\x00b",
    "İstanbul \u212a",
    "",
    " ",
    "snake_case x86_64",
    "हिन्दी में",
]
ODD += ["x" * 63 + "é" + "y" * 63 + "中" * 45 + "’" * 30]


def found_words(text: str) -> list[str]:
    from demiurgic.text.kernels.words import find_words, room_for

    texts = Texts.of([text])
    room = room_for(texts.num_bytes)
    count = find_words(texts.bytes_B, texts.offsets_N1[0], texts.offsets_N1[1], letters(), room)
    places = zip(room.starts_T[:count], room.stops_T[:count], strict=True)
    return [bytes(room.small_B[start:stop]).decode() for start, stop in places]


@pytest.mark.parametrize("text", ODD)
def test_words_of_odd_texts(text: str):
    assert found_words(text) == words(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
@example("\u2019" * 22 + "a")
def test_words_of_any_text_are_those_of_plain_python(text: str):
    assert found_words(text) == words(text)


def test_chinese_without_spaces_is_a_word_per_character():
    assert found_words("他说：你好！OK") == ["他", "说", "你", "好", "ok"]


def test_capitals_count_for_small_letters_in_every_alphabet():
    assert found_words("ÉCOLE Москва ΑΘΗΝΑ Ｗ") == ["école", "москва", "αθηνα", "ｗ"]


def test_what_python_calls_a_word_in_ascii_is_one_here():
    table = letters()[:128] >> 24
    assert [chr(code).isalnum() or chr(code) == "_" for code in range(128)] == list(table == 1)


def test_a_text_that_ends_with_its_buffer_is_not_read_past():
    text = ("word " * 40).encode()
    bytes_B = np.frombuffer(text, np.uint8)
    from demiurgic.text.kernels.words import find_words, room_for

    room = room_for(len(text))
    assert find_words(bytes_B, 3, len(text), letters(), room) == 40
