"""Columns of rows, changed without an object per row: the same as if each row had been changed by itself."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.core.records import from_batch, to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.core.row_columns import as_json, changed_N, with_columns, with_hashes, with_key, with_rows, with_scores
from tiny_rows import a_few, any_row, json_objects

texts = st.none() | st.text()


@a_few
@given(st.lists(st.tuples(json_objects, texts), min_size=1, max_size=5), st.sampled_from(["language", "a", 'q"\\', ""]))
def test_a_key_is_set_in_meta_as_if_it_was_read(pairs, key):
    metas = [json.dumps(meta, ensure_ascii=False) for meta, _ in pairs]
    found = with_key(pa.array(metas), key, as_json(pa.array([value for _, value in pairs], pa.string()))).to_pylist()
    wanted = [meta if value is None else {**meta, key: value} for meta, value in pairs]
    assert [json.loads(meta) for meta in found] == wanted


@a_few
@given(st.lists(st.tuples(any_row, st.none() | st.floats(-9, 9), st.none() | st.floats(-9, 9)), min_size=1, max_size=4))
def test_scores_are_added_and_replaced(found):
    rows = [row for row, _, _ in found]
    scores = {"a": [a for _, a, _ in found], "b": [b for _, _, b in found]}
    columns = {name: np.array([np.nan if v is None else v for v in values]) for name, values in scores.items()}
    batch = to_batch(rows)
    after = with_columns(batch, scores=with_scores(batch.column("scores"), columns))
    wanted = [
        {**row.scores, **{name: values[place] for name, values in scores.items() if values[place] is not None}}
        for place, row in enumerate(rows)
    ]
    assert [dict(row.scores) for row in from_batch(after)] == wanted


@a_few
@given(st.lists(st.tuples(any_row, any_row, st.booleans()), min_size=1, max_size=5))
def test_changed_rows_are_those_whose_content_is_another(triples):
    before = to_batch([row for row, _, _ in triples])
    rows = [other if changes else replace(row, meta="{}") for row, other, changes in triples]
    after = with_columns(to_batch(rows), content_hash=before.column("content_hash"))
    wanted = [row.content_hash != new.content_hash for (row, _, _), new in zip(triples, rows, strict=True)]
    assert changed_N(before, after).tolist() == wanted
    assert with_hashes(before, after).column("content_hash").to_pylist() == [row.content_hash for row in rows]


@a_few
@given(st.lists(st.tuples(any_row, any_row, st.booleans()), min_size=1, max_size=5))
def test_rows_are_put_in_the_place_of_others(triples):
    kept_N = np.array([chosen for _, _, chosen in triples])
    others = to_batch([other for _, other, chosen in triples if chosen])
    found = with_rows(to_batch([row for row, _, _ in triples]), kept_N, others)
    assert found.equals(to_batch([other if chosen else row for row, other, chosen in triples]))


@a_few
@given(st.lists(st.tuples(any_row, st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_rows_filtered_twice_say_what_they_say_alone(triples):
    rows, first, second = zip(*triples, strict=True)
    batch = RowBatch(to_batch(rows))
    batch.whole, batch.turns  # noqa: B018
    left = batch.filter(np.array(first))
    twice = left.filter(np.array([keep for keep, stays in zip(second, first, strict=True) if stays]))
    chosen = [row for row, *both in triples if all(both)]
    alone = RowBatch(to_batch(chosen))
    assert twice.batch.equals(alone.batch)
    for name in ("whole", "answer", "prompt", "question", "last_turn"):
        assert getattr(twice, name).to_pylist() == getattr(alone, name).to_pylist()
    assert twice.rows == alone.rows
    assert twice.is_text_N.tolist() == alone.is_text_N.tolist()
