"""Where each tensor of a model folder lies, to read and write one at a time. Knows the safetensors format alone.

A file is the length of its header (8 bytes, little-endian), the header (JSON: name → dtype, shape, offsets), and the
tensors' bytes.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.models.lfs import refuse_pointer
from demiurgic.models.precision import Precision

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DTYPES: Mapping[str, str] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""safetensors' names of the dtypes that weights are stored in, and torch's."""
ITEM_BYTES: Mapping[str, int] = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 1),
}
"""How large a number of each dtype is; safetensors has others, of half a byte."""
INDEX = "model.safetensors.index.json"
PRECISIONS: Mapping[str, str] = {"F32": "fp32", "BF16": "bf16", "F16": "fp16"}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor on disk: bytes `start` to `end` of `file`."""

    name: str
    file: Path
    dtype: str
    """As safetensors writes it: `F32`, `BF16`, …"""
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def torch_dtype(self) -> "torch.dtype":
        """Raises UserError for a dtype that is not one of floating-point weights."""
        import torch

        if self.dtype not in DTYPES:
            raise UserError(
                f"{self.file} stores {self.name} as {self.dtype}; wanted one of {', '.join(DTYPES)}. Point to the "
                "model before it was quantized."
            )
        found: torch.dtype = getattr(torch, DTYPES[self.dtype])
        return found

    def raw(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.start)
            return file.read(self.end - self.start)

    def read(self) -> "Tensor":
        import torch

        return torch.frombuffer(bytearray(self.raw()), dtype=self.torch_dtype).reshape(self.shape)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a model folder by name. Raises UserError when there are none, or a file is damaged."""
    found: dict[str, StoredTensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        for tensor in _header(file):
            if tensor.name in found:
                raise UserError(
                    f"{folder} stores {tensor.name} twice, in {found[tensor.name].file.name} and {file.name}. Delete "
                    "the files that are left over from another save."
                )
            found[tensor.name] = tensor
    if not found:
        raise UserError(f"{folder} holds no weights in safetensors. Save the model with safe_serialization.")
    return found


def write_changed(
    source: Path, out: Path, *, dtype: str | None, change: "Callable[[StoredTensor], Tensor | None]"
) -> None:
    """Write a model folder's weights into `out`, file by file, with one tensor in memory.

    `change` gives a tensor's new values, or None to keep it; the bytes of what is kept in its own dtype are copied.
    `dtype` (`F32`) is given to all, or each keeps its own. Raises UserError for values that a dtype cannot hold.
    """
    by_file: dict[Path, list[StoredTensor]] = {}
    for tensor in stored_tensors(source).values():
        by_file.setdefault(tensor.file, []).append(tensor)
    total_bytes = 0
    for file, tensors in by_file.items():
        written = _placed(sorted(tensors, key=lambda t: t.start), file=out / file.name, dtype=dtype)
        total_bytes += sum(new.end - new.start for _, new in written)
        with (out / file.name).open("wb") as opened:
            opened.write(_header_bytes([new for _, new in written]))
            for old, new in written:
                opened.write(_changed_bytes(old, new, change(old)))
    index = source / INDEX
    if index.is_file():
        data = json.loads(index.read_text(encoding="utf-8"))
        data["metadata"] = {**data.get("metadata", {}), "total_size": total_bytes}
        write_text(out / INDEX, json.dumps(data, indent=2) + "\n")


def _placed(
    tensors: "list[StoredTensor]", *, file: Path, dtype: str | None
) -> "list[tuple[StoredTensor, StoredTensor]]":
    """Each tensor beside what it will be in `file`; offsets there count from the end of the header."""
    pairs, end = [], 0
    for old in tensors:
        new = replace(old, file=file, dtype=dtype or old.dtype, start=end, end=end)
        size = old.end - old.start if new.dtype == old.dtype else math.prod(old.shape) * new.torch_dtype.itemsize
        end += size
        pairs.append((old, replace(new, end=end)))
    return pairs


def _header_bytes(tensors: "list[StoredTensor]") -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for tensor in tensors:
        offsets = [tensor.start, tensor.end]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return struct.pack("<Q", len(text)) + text


def _changed_bytes(old: StoredTensor, new: StoredTensor, values: "Tensor | None") -> bytes:
    import torch

    if values is None and new.dtype == old.dtype:
        return old.raw()
    cast = (old.read() if values is None else values.detach().cpu()).to(new.torch_dtype).contiguous()
    if cast.shape != old.shape:
        raise AssertionError(f"{old.name} has the shape {old.shape}, not {tuple(cast.shape)}")
    if not cast.isfinite().all():
        raise UserError(f"{old.name} would hold numbers that {new.dtype} cannot hold. Store the result in fp32.")
    return cast.view(torch.uint8).numpy().tobytes()


def stored_precision(folder: Path, *, modules: list[str]) -> str:
    """`fp32`, `bf16` or `fp16`: what the weights of these modules are stored in.

    Raises UserError when one is missing, and where they differ or are quantized.
    """
    tensors = stored_tensors(folder)
    missing = [module for module in modules if f"{module}.weight" not in tensors]
    if missing:
        raise UserError(f"{folder} has no weight of {missing[0]}, which its config promises. Make the folder again.")
    dtypes = {tensors[f"{module}.weight"].dtype for module in modules}
    if len(dtypes) != 1 or not dtypes <= PRECISIONS.keys():
        raise UserError(
            f"{folder} stores its linear layers as {', '.join(sorted(dtypes))}; wanted one of {', '.join(PRECISIONS)} "
            "for all. Point to the model before it was quantized."
        )
    return PRECISIONS[dtypes.pop()]


def dtype_when_frozen(folder: Path, precision: Precision) -> str:
    """What weights that stay as they are are loaded in, by torch's name: bf16 where that is all that is stored and
    products are taken in it, else fp32.
    """
    stored = {tensor.dtype for tensor in stored_tensors(folder).values()}
    return "bfloat16" if (stored, precision) == ({"BF16"}, "bf16") else "float32"


def _header(file: Path) -> list[StoredTensor]:
    refuse_pointer(file)
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > file.stat().st_size:
                raise ValueError(f"its header is said to have {length} bytes")
            header: dict[str, Any] = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        tensors = [
            StoredTensor(
                name=name,
                file=file,
                dtype=entry["dtype"],
                shape=tuple(entry["shape"]),
                start=8 + length + entry["data_offsets"][0],
                end=8 + length + entry["data_offsets"][1],
            )
            for name, entry in header.items()
        ]
        for tensor in tensors:
            _refuse_other_size(tensor, header_end=8 + length)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise UserError(f"{file} is no whole safetensors file ({error}). Make the folder again.") from None
    if any(tensor.end > file.stat().st_size for tensor in tensors):
        raise UserError(f"{file} ends before its last tensor. Make the folder again.")
    return tensors


def _refuse_other_size(tensor: StoredTensor, *, header_end: int) -> None:
    """Raises ValueError unless a tensor's bytes are as many as its shape and dtype say."""
    if any(type(number) is not int or number < 0 for number in (*tensor.shape, tensor.start - header_end)):
        raise ValueError(f"{tensor.name} has the shape {list(tensor.shape)} and begins at {tensor.start}")
    stored = tensor.end - tensor.start
    wanted = math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype] if tensor.dtype in ITEM_BYTES else max(stored, 0)
    if stored != wanted:
        raise ValueError(
            f"{tensor.name} of the shape {list(tensor.shape)} in {tensor.dtype} has {stored} bytes, wanted {wanted}"
        )
