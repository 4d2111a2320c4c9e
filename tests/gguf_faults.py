"""GGUF files with one thing wrong, such as converters have written them: they load without a word."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Change = Callable[[str, "NDArray[Any]"], "NDArray[Any]"]


def rewritten(
    file: Path, *, fields: Mapping[str, Any] | None = None, change: Change | None = None, without: str | None = None
) -> Path:
    """A copy beside `file`: other values of some fields (by the end of their key), tensors changed, one left out."""
    out = file.with_name(f"faulty-{file.name}")
    reader = gguf.GGUFReader(file)
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents())
    wanted = dict(fields or {})
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        ending = next((ending for ending in wanted if key.endswith(ending)), None)
        value = field.contents() if ending is None else wanted.pop(ending)
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, value, field.types[0], sub_type=inner)
    assert not wanted, f"the file has no {sorted(wanted)}"
    kept = [tensor for tensor in reader.tensors if tensor.name != without]
    assert without is None or len(kept) < len(reader.tensors), f"the file has no {without}"
    for tensor in kept:
        data = change(tensor.name, np.array(tensor.data)) if change is not None else tensor.data
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def without_permutation(file: Path, *, head_dim: int) -> Path:
    """As if the rows of q and k had been left in the order that Hugging Face keeps them in."""

    def change(name: str, data: "NDArray[Any]") -> "NDArray[Any]":
        if not name.endswith(("attn_q.weight", "attn_k.weight")):
            return data
        heads = data.reshape(-1, head_dim // 2, 2, *data.shape[1:])
        return np.ascontiguousarray(heads.swapaxes(1, 2).reshape(data.shape))

    return rewritten(file, change=change)
