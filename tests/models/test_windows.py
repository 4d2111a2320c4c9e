from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from demiurgic.core.errors import UserError
from demiurgic.models.tokenizer import Encoded
from demiurgic.models.windows import EncodedRows, Packed, Packing, Windows, pack, write_windows

PACKINGS: list[Packing] = ["stream", "fit"]


def encoded(length: int, *, first_id: int = 1, weight: float = 1.0) -> Encoded:
    return Encoded(list(range(first_id, first_id + length)), [weight] * length)


@st.composite
def rows_of_any_length(draw: st.DrawFn) -> list[Encoded]:
    lengths = draw(st.lists(st.integers(0, 20), max_size=12))
    ids = iter(range(1, sum(lengths) + 1))
    weight = st.sampled_from([0.0, 0.5, 1.0])
    return [Encoded([next(ids) for _ in range(n)], draw(st.lists(weight, min_size=n, max_size=n))) for n in lengths]


def unpacked(packed: Packed) -> dict[int, list[tuple[int, float]]]:
    """(id, weight) of each row, its pieces one after another."""
    rows: dict[int, list[tuple[int, float]]] = {}
    pieces = packed.pieces
    for row, window, start, end in zip(pieces.row, pieces.window, pieces.start, pieces.end, strict=True):
        ids, weights = packed.ids_NT[window, start:end].tolist(), packed.weights_NT[window, start:end].tolist()
        rows.setdefault(int(row), []).extend(zip(ids, weights, strict=True))
    return rows


@pytest.mark.parametrize("packing", PACKINGS)
@given(rows=rows_of_any_length(), length=st.integers(1, 9))
def test_every_token_stands_once_and_in_order(packing: Packing, rows: list[Encoded], length: int):
    packed = pack(rows, length=length, packing=packing)
    found = unpacked(packed)
    for number, row in enumerate(rows):
        assert [id for id, _ in found.get(number, [])] == row.ids
    assert packed.counts.tokens == sum(len(row.ids) for row in rows)


@pytest.mark.parametrize("packing", PACKINGS)
@given(rows=rows_of_any_length(), length=st.integers(1, 9))
def test_a_token_keeps_its_weight_unless_it_begins_a_piece(packing: Packing, rows: list[Encoded], length: int):
    packed = pack(rows, length=length, packing=packing)
    begins = set(packed.ids_NT[packed.pieces.window, packed.pieces.start].tolist())
    expected = [
        [(id, 0.0 if id in begins else weight) for id, weight in zip(row.ids, row.weights, strict=True)] for row in rows
    ]
    found = unpacked(packed)
    assert [found.get(number, []) for number in range(len(rows))] == expected


@pytest.mark.parametrize("packing", PACKINGS)
@given(rows=rows_of_any_length(), length=st.integers(1, 9))
def test_documents_count_up_without_gaps_and_padding_comes_last(packing: Packing, rows: list[Encoded], length: int):
    packed = pack(rows, length=length, packing=packing)
    for documents, ids, weights in zip(packed.documents_NT, packed.ids_NT, packed.weights_NT, strict=True):
        real = documents[documents != 0].astype(int)
        assert documents[: real.size].all()
        assert real[0] == 1
        assert set(np.diff(real)) <= {0, 1}
        assert not ids[real.size :].any()
        assert not weights[real.size :].any()


@given(rows=rows_of_any_length(), length=st.integers(1, 9))
def test_a_stream_pads_the_last_window_only(rows: list[Encoded], length: int):
    packed = pack(rows, length=length, packing="stream")
    assert packed.documents_NT[:-1].all()


@given(rows=rows_of_any_length(), length=st.integers(1, 9))
def test_fit_cuts_only_rows_longer_than_a_window(rows: list[Encoded], length: int):
    packed = pack(rows, length=length, packing="fit")
    assert packed.counts.rows_cut == sum(len(row.ids) > length for row in rows)


@given(rows=rows_of_any_length(), length=st.integers(1, 9))
def test_fit_leaves_no_two_windows_that_would_go_into_one(rows: list[Encoded], length: int):
    packed = pack(rows, length=length, packing="fit")
    filled = np.sort((packed.documents_NT != 0).sum(axis=1))
    assert filled.size < 2 or filled[0] + filled[1] > length


def test_best_fit_takes_the_fullest_window_that_still_has_room():
    packed = pack([encoded(5), encoded(6), encoded(2)], length=8, packing="fit")
    assert packed.pieces.window.tolist() == [0, 1, 1]


def test_a_row_in_two_windows_is_two_documents():
    packed = pack([encoded(3), encoded(4)], length=5, packing="stream")
    assert packed.documents_NT.tolist() == [[1, 1, 1, 2, 2], [1, 1, 0, 0, 0]]
    assert packed.weights_NT.tolist() == [[0, 1, 1, 0, 1], [0, 1, 0, 0, 0]]
    assert packed.counts.rows_cut == 1


def test_reordered_rows_are_the_same_rows():
    rows = [encoded(2, first_id=1), encoded(0), encoded(3, first_id=10), encoded(1, first_id=20)]
    joined = EncodedRows.join(rows).reordered(np.array([3, 2, 1, 0]))
    assert joined.ids.tolist() == [20, 10, 11, 12, 1, 2]
    assert joined.lengths.tolist() == [1, 3, 0, 2]


def test_a_weight_too_large_to_store_is_refused():
    with pytest.raises(UserError, match="weight 1e\\+06"):
        pack([encoded(2, weight=1e6)], length=4)


def test_a_weight_so_small_that_it_would_be_stored_as_0_is_refused():
    with pytest.raises(UserError, match="weight 1e-08; wanted 0, or at least 5.96046e-08"):
        pack([encoded(2, weight=1e-8)], length=4)
    assert pack([encoded(2, weight=6e-8)], length=4).counts.supervised == 1


def written(folder: Path) -> Windows:
    packed = pack([encoded(3, first_id=1), encoded(4, first_id=11)], length=5)
    write_windows(folder, packed, row_ids=["a", "b"], vocab_size=300, tokenizer_digest="0f", dialect="chatml")
    return Windows.open(folder)


def test_windows_read_back_what_was_written(tmp_path: Path):
    windows = written(tmp_path)
    assert (len(windows), windows.length, windows.vocab_size, windows.dialect) == (2, 5, 300, "chatml")
    batch = windows.batch([1, 0])
    assert batch.ids_BT.tolist() == [[13, 14, 0, 0, 0], [1, 2, 3, 11, 12]]
    assert (batch.ids_BT.dtype, batch.weights_BT.dtype, batch.documents_BT.dtype) == (np.int64, np.float32, np.int64)


def test_the_folder_says_where_each_row_lies(tmp_path: Path):
    written(tmp_path)
    assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == [
        {"row": "a", "window": 0, "start": 0, "end": 3},
        {"row": "b", "window": 0, "start": 3, "end": 5},
        {"row": "b", "window": 1, "start": 0, "end": 2},
    ]


def test_a_folder_without_tokens_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="not a folder of tokens"):
        Windows.open(tmp_path)


def test_arrays_of_another_shape_are_refused(tmp_path: Path):
    written(tmp_path)
    np.save(tmp_path / "weights.npy", np.zeros((1, 5), np.float16))
    with pytest.raises(UserError, match="damaged"):
        Windows.open(tmp_path)
