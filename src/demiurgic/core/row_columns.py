"""Changes the columns of rows without an object per row: scores, keys of meta, changed rows. Knows no rule.

N rows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from demiurgic.core.records import arrow_schema, from_batch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Mask = np.ndarray[Any, np.dtype[np.bool_]]
    Scores = np.ndarray[Any, np.dtype[np.float64]]

SAID = ("messages", "text", "tools", "rejected")
"""The columns that `content_hash` is made of."""


def with_scores(column: "pyarrow.MapArray", scores: "Mapping[str, Scores]") -> "pyarrow.MapArray":
    """The column `scores` with more of them: NaN leaves what a row has, a number takes the place of an earlier one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    starts = column.offsets.to_numpy()
    inside = slice(starts[0], starts[-1])
    keys, values = column.keys[inside], column.items[inside].to_numpy(zero_copy_only=False)
    row_of_entry = np.repeat(np.arange(len(column)), np.diff(starts))
    stays = np.ones(len(row_of_entry), np.bool_)
    rows, names, numbers = [row_of_entry], [keys], [values]
    for name, score_N in scores.items():
        scored_N = ~np.isnan(score_N)
        stays &= ~(pc.equal(keys, name).to_numpy(zero_copy_only=False) & scored_N[row_of_entry])
        rows.append(np.flatnonzero(scored_N))
        names.append(pa.repeat(pa.scalar(name, pa.string()), len(rows[-1])))
        numbers.append(score_N[scored_N])
    if not stays.all():
        rows[0], names[0], numbers[0] = row_of_entry[stays], keys.filter(pa.array(stays)), values[stays]
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    ends = np.cumsum(np.bincount(row, minlength=len(column)))
    offsets = pa.array(np.concatenate(([0], ends)), pa.int32())
    found = pa.MapArray.from_arrays(
        offsets, pa.concat_arrays(names).take(pa.array(order)), pa.array(np.concatenate(numbers)[order])
    )
    return found.cast(arrow_schema().field("scores").type)


def as_json(texts: "pyarrow.Array") -> "pyarrow.StringArray":
    """Each text as JSON writes it, null for null; made once per different text."""
    import pyarrow as pa

    coded = texts.dictionary_encode()
    written = [json.dumps(text, ensure_ascii=False) for text in coded.dictionary.to_pylist()]
    return pa.array(written, pa.string()).take(coded.indices)


def with_key(meta: "pyarrow.StringArray", key: str, values: "pyarrow.StringArray") -> "pyarrow.StringArray":
    """Each meta with `key` set to what `values` (JSON, null: leave it) has for the row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count == len(values):
        return meta
    written = json.dumps(key, ensure_ascii=False)
    bare = pc.binary_slice(meta.cast(pa.binary()), 0, -1)
    some = pc.binary_join_element_wise(bare, f", {written}: ".encode(), values.cast(pa.binary()), b"}", b"")
    first = pc.binary_join_element_wise(f"{{{written}: ".encode(), values.cast(pa.binary()), b"}", b"")
    spliced = pc.if_else(pc.equal(meta, "{}"), first, some).cast(pa.string())
    # Read as JSON only where the key may stand already, or where there is space around the object or an empty one.
    plain = pc.or_(pc.equal(meta, "{}"), pc.and_(pc.starts_with(meta, '{"'), pc.ends_with(meta, "}")))
    odd = pc.and_(values.is_valid(), pc.or_(pc.match_substring(meta, written), pc.invert(plain)))
    found = pc.if_else(values.is_valid(), spliced, meta)
    if pc.any(odd).as_py():
        read = [
            _set(old, key, new)
            for old, new in zip(meta.filter(odd).to_pylist(), values.filter(odd).to_pylist(), strict=True)
        ]
        found = pc.replace_with_mask(found, odd, pa.array(read, pa.string()))
    return found


def _set(meta: str, key: str, value: str) -> str:
    facts = {**json.loads(meta), key: json.loads(value)}
    # Half a surrogate pair can only be written as an escape.
    return json.dumps(facts, ensure_ascii="\\u" in meta or "\\u" in value, sort_keys=True)


def changed_N(before: "pyarrow.RecordBatch", after: "pyarrow.RecordBatch") -> "Mask":
    """Which rows say something else than before: those whose `content_hash` is another."""
    import numpy as np

    found = np.zeros(before.num_rows, np.bool_)
    for name in SAID:
        found |= _differs(before.column(name), after.column(name))
    return found


def with_hashes(before: "pyarrow.RecordBatch", after: "pyarrow.RecordBatch") -> "pyarrow.RecordBatch":
    """`after` with the right `content_hash`, made again only for rows that changed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    changed = changed_N(before, after)
    hashes = before.column("content_hash")
    if changed.any():
        made = [row.content_hash for row in from_batch(after.filter(pa.array(changed)))]
        hashes = pc.replace_with_mask(hashes, pa.array(changed), pa.array(made, pa.string()))
    return with_columns(after, content_hash=hashes)


def with_columns(batch: "pyarrow.RecordBatch", **columns: "pyarrow.Array") -> "pyarrow.RecordBatch":
    import pyarrow as pa

    arrays = [columns.get(name, batch.column(name)) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def with_rows(batch: "pyarrow.RecordBatch", kept_N: "Mask", rows: "pyarrow.RecordBatch") -> "pyarrow.RecordBatch":
    """`batch` with `rows` in the place of those for which `kept_N` is true."""
    import numpy as np
    import pyarrow as pa

    if kept_N.all():
        return rows
    place_N = np.arange(len(batch))
    place_N[kept_N] = len(batch) + np.arange(len(rows))
    places = pa.array(place_N)
    columns = [
        old if old.equals(new) else pa.concat_arrays([old, new]).take(places)
        for old, new in zip(batch.columns, rows.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _differs(before: "pyarrow.Array", after: "pyarrow.Array") -> "Mask":
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if before is after or before.equals(after):
        return np.zeros(len(before), np.bool_)
    other: Mask = pc.not_equal(before.is_valid(), after.is_valid()).to_numpy(zero_copy_only=False)
    if pa.types.is_struct(before.type):
        fields: Sequence[int] = range(before.type.num_fields)
        for n in fields:
            other = other | _differs(before.field(n), after.field(n))
        return other
    if pa.types.is_list(before.type):
        return other | _lists_differ(before, after)
    unequal: Mask = pc.not_equal(before, after).fill_null(False).to_numpy(zero_copy_only=False)
    return other | unequal


def _lists_differ(before: "pyarrow.ListArray", after: "pyarrow.ListArray") -> "Mask":
    import numpy as np
    import pyarrow as pa

    lengths = before.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    differ: Mask = lengths != after.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    same = ~differ
    if not same.any():
        return differ
    mask = pa.array(same)
    inner = _differs(before.filter(mask).flatten(), after.filter(mask).flatten())
    counts = np.concatenate(([0], np.cumsum(inner)))
    ends = np.cumsum(lengths[same])
    differ[same] = counts[ends] > counts[ends - lengths[same]]
    return differ
