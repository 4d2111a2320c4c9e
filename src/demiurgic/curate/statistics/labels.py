"""A key of the rows' meta as a column, without reading the JSON of every row into objects."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow


def label_of(meta: "pyarrow.Array", key: str) -> "pyarrow.Array":
    """What stands under a key in each meta: a text as it is, all else as JSON writes it; null where nothing does."""
    import numpy as np
    import pyarrow as pa

    from demiurgic.text.kernels.json_field import find_values
    from demiurgic.text.utf8 import Texts

    texts = Texts.of(meta)
    spans_N2 = np.zeros((len(texts), 2), np.int64)
    written = json.dumps(key, ensure_ascii=False)[1:-1]
    find_values(texts.bytes_B, texts.offsets_N1, np.frombuffer(written.encode(), np.uint8), spans_N2)
    found = np.flatnonzero(spans_N2[:, 1] > spans_N2[:, 0])
    if not len(found):
        return pa.nulls(len(texts), pa.string())
    # One array over the same bytes, in which values and what lies between them take turns: nothing is copied out.
    cuts = pa.py_buffer(np.ascontiguousarray(spans_N2[found].ravel()))
    turns = pa.Array.from_buffers(pa.large_binary(), 2 * len(found) - 1, [None, cuts, pa.py_buffer(texts.bytes_B)])
    coded = turns.take(pa.array(np.arange(0, 2 * len(found), 2))).dictionary_encode()
    values = [_label(value) for value in coded.dictionary.to_pylist()]
    places = np.full(len(texts), -1, np.int64)
    places[found] = coded.indices.to_numpy()
    return pa.array(values, pa.string()).take(pa.array(places, mask=places < 0))


def _label(raw: bytes) -> str | None:
    value = json.loads(raw)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
