"""A later curation is compared with the index that an earlier one kept, and ends as if both had been one."""

import json
from pathlib import Path

import numpy as np
import pytest

from demiurgic.core.artifacts import KINDS, Fingerprints
from demiurgic.core.errors import UserError
from demiurgic.core.records import Row
from demiurgic.curate.duplicates.fingerprints import SETTINGS
from demiurgic.curate.duplicates.plain import jaccard, ngrams
from demiurgic.text.ngrams import Shingling
from fingerprint_folders import index_of
from spilled import decide, gone, reasons

NEAR = {"near": {"threshold": 0.6, "n": 2, "method": "exact"}}


def varied(first: int, count: int) -> list[Row]:
    """Rows among which copies, near-duplicates and strangers are; ids from `first` on."""
    random = np.random.default_rng(first)
    texts = [" ".join(f"w{word}" for word in random.integers(0, 3, 8)) for _ in range(count)]
    return [Row(f"row {first + n}", text=text) for n, text in enumerate(texts)]


def staying(rows: list[Row], folder: Path, **settings) -> list[bool]:
    return (decide(rows, folder, **settings).reason_N < 0).tolist()


@pytest.mark.parametrize("settings", [{}, NEAR], ids=["exact", "near"])
def test_later_rows_go_as_if_they_had_come_with_the_earlier_ones(tmp_path, settings):
    earlier, later = varied(0, 60), varied(1000, 60)
    later += [Row("a copy", text=earlier[0].text)]
    index = index_of(earlier, tmp_path / "i", stay=staying(earlier, tmp_path / "1", **settings), **settings)
    together = gone([*earlier, *later], decide([*earlier, *later], tmp_path / "2", **settings))
    decisions = decide(later, tmp_path / "3", against=[index], **settings)
    alone, names = gone(later, decisions), {row.id for row in later}
    assert set(alone) == set(together) & names
    assert len(set(alone.values()) - names) > 1
    texts = {row.id: row.text for row in (*earlier, *later)}
    assert decisions.similarity_N is not None
    for place, row in enumerate(later):
        if row.id in alone:
            pair = [ngrams(texts[id] or "", Shingling(n=2)) for id in (row.id, alone[row.id])]
            assert decisions.similarity_N[place] == pytest.approx(jaccard(*pair))


def test_a_row_names_the_earlier_row_and_how_like_it_is(tmp_path):
    text = " ".join(f"w{n}" for n in range(40))
    index = index_of([Row("old", text=text)], tmp_path, stay=[True], near={})
    rows = [Row("near", text=text + " more"), Row("same", text=text), Row("new", text="something else")]
    decisions = decide(rows, tmp_path / "1", against=[index], near={})
    assert gone(rows, decisions) == {"near": "old", "same": "old"}
    assert decisions.similarity_N is not None
    assert decisions.similarity_N[:2].tolist() == pytest.approx([38 / 39, 1])
    assert all("earlier curation" in decisions.reasons[decisions.reason_N[row]] for row in (0, 1))
    assert reasons(rows, decisions) == {"near": "near-duplicate", "same": "duplicate"}


def test_several_indexes_are_one(tmp_path):
    first = index_of([Row("one", text="alpha beta gamma")], tmp_path, stay=[True], step="first", near={})
    second = index_of([Row("two", text="delta epsilon zeta")], tmp_path / "b", stay=[True], step="second", near={})
    rows = [
        Row("x", text="Delta, epsilon, zeta"),
        Row("y", text="Alpha beta gamma!"),
        Row("z", text="alpha beta gamma"),
    ]
    assert gone(rows, decide(rows, tmp_path / "1", against=[first, second], near={})) == {
        "x": "two",
        "y": "one",
        "z": "one",
    }


def test_only_rows_that_stayed_are_in_an_index(tmp_path):
    index = index_of([Row("a", text="alpha"), Row("b", text="beta")], tmp_path, stay=[True, False])
    rows = [Row("c", text="alpha"), Row("d", text="beta")]
    assert gone(rows, decide(rows, tmp_path / "1", against=[index])) == {"c": "a"}


def test_an_empty_index_drops_nothing(tmp_path):
    index = index_of([Row("a", text="alpha")], tmp_path, stay=[False], near={})
    rows = [Row("c", text="alpha")]
    assert gone(rows, decide(rows, tmp_path / "1", against=[index], near={})) == {}


@pytest.mark.parametrize(
    ("made", "wanted", "says"),
    [
        ({}, {"near": {}}, "index .* holds no n-grams.*Run earlier again with near"),
        ({"near": {}}, {"near": {"n": 5}}, "index .* was made with n 3 where this curation has 5"),
        ({"near": {"unit": "character"}}, {"near": {}}, "unit character where this curation has word"),
        ({"near": {}}, {"near": {"key": ["prompt"]}}, "key pair where this curation compares prompt"),
    ],
)
def test_an_index_made_otherwise_is_refused_by_name(tmp_path, made, wanted, says):
    index = index_of([Row("a", text="alpha")], tmp_path, stay=[True], **made)
    with pytest.raises(UserError, match=says):
        decide([Row("b", text="beta")], tmp_path / "1", against=[index], **wanted)


def test_an_index_of_another_threshold_or_method_fits(tmp_path):
    index = index_of([Row("a", text="alpha beta")], tmp_path, stay=[True], near={"threshold": 0.9, "method": "minhash"})
    rows = [Row("b", text="Alpha, beta")]
    assert gone(rows, decide(rows, tmp_path / "1", against=[index], near={"threshold": 0.5})) == {"b": "a"}


def test_an_index_of_an_unknown_form_is_refused(tmp_path):
    index = index_of([Row("a", text="alpha")], tmp_path, stay=[True])
    path = index / SETTINGS
    text = path.read_text().replace('"form": 1', '"form": 9')
    assert json.loads(text)["form"] == 9
    artifact = Fingerprints.open(index)
    path.write_text(text)
    with pytest.raises(UserError, match="is of form 9, and this version reads form 1"):
        decide([Row("b", text="beta")], tmp_path / "1", against=[artifact])


def test_the_kind_is_known_to_stores():
    assert KINDS["fingerprints"] is Fingerprints
