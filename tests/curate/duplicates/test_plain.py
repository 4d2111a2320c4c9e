"""Plain sets of n-grams are what the compiled code finds in the same text, whatever the text."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.curate.duplicates.plain import characters, jaccard, ngrams, words
from demiurgic.text.neighbours import known_of
from demiurgic.text.ngrams import Shingling
from tiny_rows import a_few


class Few:
    def __init__(self, *texts: str) -> None:
        self.num_documents = len(texts)
        self._texts = pa.array(texts, pa.string())

    def batches(self):
        yield self._texts


def compiled(shingling: Shingling, *texts: str) -> list[set[int]]:
    known = known_of(Few(*texts), shingling=shingling, chosen_N=np.ones(len(texts), np.bool_))
    return [set(part.tolist()) for part in np.split(known.hashes_H, known.offsets_K1[1:-1])]


mixed = st.text(
    st.sampled_from("aAbB zZ_1²,.\t\u00a0\u3000ÄäßİıΣσςЖжé\u0301今天気가나กขعربहिन्दी🙂\0\U00020000"), max_size=20
)
any_text = mixed | st.text(max_size=20)


@a_few
@given(any_text, any_text, st.sampled_from(["word", "character"]), st.integers(1, 4))
def test_plain_and_compiled_n_grams_are_the_same(left, right, unit, n):
    shingling = Shingling(unit, n)
    plain, fast = [ngrams(text, shingling) for text in (left, right)], compiled(shingling, left, right)
    assert [len(found) for found in plain] == [len(found) for found in fast]
    assert len(plain[0] & plain[1]) == len(fast[0] & fast[1])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello, World_1!", ["hello", "world_1"]),
        ("ÄRGER über\u3000Straße", ["ärger", "über", "straße"]),
        ("今天好 ok", ["今", "天", "好", "ok"]),
        ("...", []),
    ],
)
def test_words_are_runs_of_letters_and_one_character_where_a_script_has_no_spaces(text, found):
    assert words(text) == found


def test_characters_are_small_and_spaces_are_one():
    assert characters("\t A\n\n bÇ ") == "a bç"


def test_two_empty_sets_are_not_alike():
    assert jaccard(set(), set()) == 0
    assert jaccard({("a",)}, {("a",), ("b",)}) == 0.5
