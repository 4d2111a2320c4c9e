"""Near-duplicates: what goes, with which witness and similarity, is what plain Python's sets say."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plain_sets
from demiurgic.core.errors import UserError
from demiurgic.text.near_duplicates import (
    Exact,
    Found,
    Minhash,
    Shingling,
    Workspace,
    known_of,
    near_duplicates,
    similar_to,
)
from real_data import needs_real_data, pairs

WORDS = [
    "one",
    "Two",
    "three",
    "four",
    "五",
    "六",
    "ÉTÉ",
    "été",
    "x",
    "longwordlonger",
    "longwordlongeR2",
    "—",
    "😀",
    "ß",
    "ж",
]
SHINGLINGS = [Shingling(), Shingling(n=1), Shingling(unit="character", n=4), Shingling(common_above=9)]
METHODS = [Exact(), Minhash()]
MANY_BANDS = Minhash(permutations=256, bands=128, leaders=64)
"""So many short bands that at a similarity of 0.5 one in 10^16 pairs is missed."""


@dataclass
class Listed:
    """Documents that are there already, in batches of a few."""

    texts: Sequence[str]
    batch_size: int = 7
    num_documents: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_documents = len(self.texts)

    def batches(self) -> Iterator[Any]:
        for start in range(0, len(self.texts), self.batch_size):
            yield pa.array(self.texts[start : start + self.batch_size], pa.string())


def find(
    folder: Path, texts: Sequence[str], *, memory_bytes: int = 1 << 30, batch_size: int = 7, **options: Any
) -> Found:
    folder.mkdir(parents=True, exist_ok=True)
    with Workspace(folder, memory_bytes) as workspace:
        found = near_duplicates(Listed(texts, batch_size), workspace=workspace, **options)
    assert not list(folder.iterdir())
    return found


def alike_texts(seed: int, *, count: int = 40) -> list[str]:
    """Copies of a few texts, some with words changed."""
    made = random.Random(seed)
    bases = [[made.choice(WORDS) for _ in range(made.randint(0, 30))] for _ in range(6)]
    texts = []
    for _ in range(count):
        words = list(made.choice(bases))
        for _ in range(made.choice([0, 0, 1, 1, 2, 3])):
            if words:
                words[made.randrange(len(words))] = made.choice(WORDS)
        texts.append(made.choice([" ", "  ", "\n", "."]).join(words))
    return texts


def same(found: Found, wanted: plain_sets.Outcome) -> None:
    assert found.witness_N.tolist() == wanted.witness
    assert np.nan_to_num(found.similarity_N) == pytest.approx(wanted.similarity)


@pytest.mark.parametrize("shingling", SHINGLINGS)
@pytest.mark.parametrize("seed", range(10))
def test_the_exact_join_finds_what_plain_sets_find(seed: int, shingling: Shingling, tmp_path: Path):
    texts, made = alike_texts(seed), random.Random(seed)
    threshold = made.choice([0.3, 0.5, 0.8, 1.0])
    order = made.sample(range(40), 40)
    found = find(tmp_path, texts, shingling=shingling, threshold=threshold, order_N=np.array(order))
    same(found, plain_sets.near_duplicates(texts, shingling=shingling, threshold=threshold, order=order))


@pytest.mark.parametrize("shingling", SHINGLINGS)
@pytest.mark.parametrize("seed", range(5))
def test_minhash_with_many_bands_finds_the_same(seed: int, shingling: Shingling, tmp_path: Path):
    texts = alike_texts(seed)
    found = find(tmp_path, texts, shingling=shingling, threshold=0.8, method=MANY_BANDS)
    same(found, plain_sets.near_duplicates(texts, shingling=shingling, threshold=0.8))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="ab cé中’\x00", max_size=40), max_size=25), st.sampled_from(SHINGLINGS))
def test_any_texts(tmp_path_factory: pytest.TempPathFactory, texts: list[str], shingling: Shingling):
    for method in (Exact(), MANY_BANDS):
        found = find(tmp_path_factory.mktemp("work"), texts, shingling=shingling, threshold=0.6, method=method)
        if method == Exact():
            same(found, plain_sets.near_duplicates(texts, shingling=shingling, threshold=0.6))
        check_the_promise(found, texts, shingling=shingling, threshold=0.6)


def check_the_promise(found: Found, texts: Sequence[str], *, shingling: Shingling, threshold: float) -> None:
    """Every witness stays, and is as similar as it is said to be."""
    members = plain_sets.sets(texts, shingling)
    for document, witness in enumerate(found.witness_N.tolist()):
        if witness >= 0:
            assert found.witness_N[witness] == -1
            exact = plain_sets.jaccard(members[document], members[witness])
            assert exact >= threshold
            assert found.similarity_N[document] == pytest.approx(exact)


@pytest.mark.parametrize("method", METHODS)
def test_neither_threads_nor_memory_nor_batches_change_what_is_found(method: Any, tmp_path: Path):
    texts = list(itertools.chain.from_iterable(alike_texts(seed, count=300) for seed in range(10)))
    kinds = itertools.product((1, 3), (0, 1 << 20, 1 << 30), (50, 3000))
    found = [
        find(tmp_path / "work", texts, method=method, threads=threads, memory_bytes=memory, batch_size=size)
        for threads, memory, size in kinds
    ]
    for other in found[1:]:
        assert other.witness_N.tolist() == found[0].witness_N.tolist()
        assert np.array_equal(other.similarity_N, found[0].similarity_N, equal_nan=True)
        assert other.num_verified == found[0].num_verified


@pytest.mark.parametrize("method", METHODS)
def test_documents_that_the_order_leaves_out_take_no_part(method: Any, tmp_path: Path):
    text = "the same text three times over"
    found = find(tmp_path, [text] * 3, method=method, order_N=np.array([2, 1]))
    assert found.witness_N.tolist() == [-1, 2, -1]


@pytest.mark.parametrize("method", METHODS)
def test_known_documents_stay_and_are_witnesses_before_all_others(method: Any, tmp_path: Path):
    texts = alike_texts(3)
    known = known_of(Listed(texts[:12]), shingling=Shingling(), chosen_N=np.arange(12) >= 2)
    found = find(tmp_path, texts[12:], known=known, threshold=0.8, method=MANY_BANDS if method != Exact() else method)
    same(found, plain_sets.near_duplicates(texts[12:], shingling=Shingling(), threshold=0.8, known=texts[2:12]))
    assert (found.witness_N >= 28).any()


def test_known_documents_are_written_and_read(tmp_path: Path):
    texts = alike_texts(4)
    known = known_of(Listed(texts), shingling=Shingling(), chosen_N=np.arange(40) % 2 == 0)
    known.write(tmp_path)
    again = type(known).read(tmp_path, shingling=Shingling())
    assert len(again) == 20
    twice = type(known).joined([again, known])
    assert twice.hashes_H[twice.offsets_K1[20] :].tolist() == known.hashes_H.tolist()
    assert find(tmp_path / "work", texts[::2], known=twice).witness_N.min() >= -1


def test_known_documents_of_other_ngrams_are_refused(tmp_path: Path):
    known = known_of(Listed(["a b c d"]), shingling=Shingling(n=2), chosen_N=np.ones(1, np.bool_))
    with pytest.raises(UserError, match="2-grams of words; this run asks for 3-grams"):
        find(tmp_path, ["a b c d"], known=known)


@pytest.mark.parametrize("method", METHODS)
def test_a_hundred_thousand_equal_texts_cost_one_comparison_each_at_most(method: Any, tmp_path: Path):
    found = find(tmp_path, ["one text that very many rows have"] * 100_000, method=method, batch_size=10_000)
    assert (found.witness_N[1:] == 0).all()
    assert found.num_verified == 0


def test_a_band_that_all_share_is_asked_of_so_many_leaders_only(tmp_path: Path):
    prompt = " ".join(f"word{number}" for number in range(60))
    texts = [f"{prompt} " + " ".join(f"own{row}x{number}" for number in range(20)) for row in range(300)]
    few = find(tmp_path, texts, method=Minhash(permutations=64, bands=64, leaders=2))
    assert few.num_capped > 0
    assert few.num_verified < 64 * 2 * 300
    assert (few.witness_N == -1).all()


@pytest.mark.parametrize("method", METHODS)
def test_there_are_no_chains(method: Any, tmp_path: Path):
    words = [f"w{number}" for number in range(200)]
    texts = [" ".join(words[start : start + 100]) for start in range(0, 60, 4)]
    found = find(tmp_path, texts, method=method, threshold=0.8)
    assert (found.witness_N[1:] == -1).sum() > 3
    check_the_promise(found, texts, shingling=Shingling(), threshold=0.8)


@pytest.mark.parametrize("method", METHODS)
def test_short_texts_are_one_ngram_and_empty_ones_are_like_nothing(method: Any, tmp_path: Path):
    found = find(tmp_path, ["Yes.", "No.", "yes", "", "", "!!", "Yes, no."], method=method)
    assert found.witness_N.tolist() == [-1, -1, 0, -1, -1, -1, -1]


@pytest.mark.parametrize("method", METHODS)
def test_a_text_of_ten_million_bytes_goes_through(method: Any, tmp_path: Path):
    long = " ".join(f"w{number % 70_001}" for number in range(1_600_000))
    found = find(tmp_path, [long, "short one here", long + " and more"], method=method)
    assert found.witness_N.tolist() == [-1, -1, 0]


def test_ngrams_in_very_many_documents_do_not_count_when_asked(tmp_path: Path):
    template = "below is an instruction that describes a task write a response that completes it"
    texts = [f"{template} number{row} alone" for row in range(50)]
    assert (find(tmp_path, texts, threshold=0.6).witness_N >= 0).sum() == 49
    without = find(tmp_path, texts, threshold=0.6, shingling=Shingling(common_above=40))
    assert (without.witness_N == -1).all()
    assert len(without.common_C) == 12


@pytest.mark.parametrize("shingling", SHINGLINGS)
def test_neighbours_of_a_sample_are_all_similar_ones(shingling: Shingling, tmp_path: Path):
    texts = alike_texts(7)
    common = find(tmp_path, texts, shingling=shingling).common_C
    found = similar_to(np.array([5, 2]), Listed(texts), shingling=shingling, threshold=0.5, common_C=common)
    members = plain_sets.sets(texts, shingling)
    wanted = [
        (place, other, plain_sets.jaccard(members[document], members[other]))
        for place, document in enumerate((5, 2))
        for other in range(40)
        if other != document and plain_sets.jaccard(members[document], members[other]) >= 0.5
    ]
    assert list(zip(found.sample_P.tolist(), found.document_P.tolist(), strict=True)) == [pair[:2] for pair in wanted]
    assert found.similarity_P == pytest.approx([pair[2] for pair in wanted])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0.0}, "above 0 and at most 1"),
        ({"method": Minhash(permutations=100, bands=16)}, "do not make 16 equal bands"),
        ({"shingling": Shingling(n=0)}, "at least 1"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(options: dict[str, Any], said: str, tmp_path: Path):
    with pytest.raises(UserError, match=said):
        find(tmp_path, ["a"], **options)


def test_more_documents_than_announced_are_not_passed_over(tmp_path: Path):
    documents = Listed(["a", "b", "c"], batch_size=1)
    for announced in (2, 4):
        documents.num_documents = announced
        with (
            Workspace(tmp_path, 0) as workspace,
            pytest.raises(ValueError, match=f"{announced} documents were announced"),
        ):
            near_duplicates(documents, method=Minhash(), workspace=workspace)


def test_progress_is_told_by_phase(tmp_path: Path):
    told: list[tuple[str, int, int]] = []
    find(tmp_path, alike_texts(1), on_progress=lambda *step: told.append(step))
    assert {phase for phase, _, _ in told} == {"counting n-grams", "choosing candidates", "comparing"}
    assert all(total == 40 and done <= total for _, done, total in told)


@needs_real_data
def test_on_real_rows_the_join_agrees_with_plain_sets_and_minhash_nearly(tmp_path: Path):
    texts = [f"{asks}\n{says}" for asks, says in pairs("gpteacher", limit=700)]
    found = find(tmp_path / "exact", texts, threads=2)
    same(found, plain_sets.near_duplicates(texts, shingling=Shingling(), threshold=0.8))
    nearly = find(tmp_path / "bands", texts, method=Minhash())
    check_the_promise(nearly, texts, shingling=Shingling(), threshold=0.8)
    gone = found.witness_N >= 0
    assert (gone & (nearly.witness_N >= 0)).sum() >= 0.99 * gone.sum()
