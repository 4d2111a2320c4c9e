"""A Hugging Face model folder as one GGUF file, without a compiler.

Weights stream: rows are read, put in llama.cpp's order, quantized and written block by block, so that memory holds a
few blocks and never the model. Knows nothing of whether the file is as good as its source; `verify` does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.console import Progress
from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.models.gguf.architecture import read_architecture
from demiurgic.models.gguf.header import ROPE_FACTORS, write_header
from demiurgic.models.gguf.quantize import encode_rows
from demiurgic.models.gguf.tensors import (
    TensorPlan,
    interleave_halves,
    plan_tensors,
    planned_tensors,
    read_rows,
    rope_factors,
)
from demiurgic.models.gguf.types import (
    TENSOR_TYPES,
    Layout,
    TensorType,
    find_file_type,
    tensor_type,
)
from demiurgic.models.gguf.vocabulary import read_vocabulary, refuse_telling_name, write_vocabulary
from demiurgic.models.shards import StoredTensor

if TYPE_CHECKING:
    import numpy as np
    import torch
    from gguf import GGUFWriter
    from numpy.typing import NDArray

BLOCK_VALUES = 1 << 22
"""Values of a block of rows: 16 MiB in fp32."""
QUANTIZATION_VERSION = 2
"""`GGML_QNT_VERSION`."""


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file and what it holds."""

    file: Path
    num_bytes: int
    bits_per_weight: float
    """Bits of tensor data over all values, norms and fall-backs included."""
    tensor_types: Mapping[str, str]
    """GGUF tensor name to type name, in the order of the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a file: what its infos say, and its encoded bytes, made when they are asked for."""

    name: str
    shape: tuple[int, ...]
    kind: TensorType
    blocks: Callable[[], Iterable[Callable[[], "NDArray[np.uint8]"]]]
    """Jobs that each give the bytes of the next rows; they may run in any order and in threads."""

    @property
    def num_values(self) -> int:
        rows, *width = self.shape
        return rows * (width[0] if width else 1)


def write_gguf(
    model_folder: Path,
    out: Path,
    *,
    type: str,
    name: str,
    workers: int = 1,
    progress: Progress | None = None,
) -> Written:
    """Write the model of a Hugging Face folder to the file `out` in a type of `FILE_TYPES`.

    `name` goes into the file (`general.name`). The bytes do not depend on `workers` (threads). `progress` is advanced
    by bytes of the source, to `source_bytes(model_folder)` in all. Raises UserError for what a GGUF cannot hold, and
    OSError when the disk is full; then nothing stands under the final name.
    """
    require("gguf", "torch")
    file_type = find_file_type(type)
    refuse_telling_name(name)
    architecture = read_architecture(model_folder)
    vocabulary = read_vocabulary(model_folder, size=architecture.vocab_size)
    layout = Layout(
        architecture.name,
        architecture.num_layers,
        architecture.tied,
        architecture.num_heads // architecture.num_kv_heads,
    )
    plans = plan_tensors(architecture)
    stored = planned_tensors(model_folder, plans, tied=architecture.tied)
    entries = [
        _entry(
            plan,
            stored[plan.source],
            tensor_type(plan.name, plan.shape, file_type=file_type, layout=layout),
            progress=progress,
        )
        for plan in plans
    ]
    if architecture.rope.kind == "llama3":
        entries.insert(0, in_memory(ROPE_FACTORS, rope_factors(architecture.rope, architecture.head_dim)))

    def describe(writer: "GGUFWriter") -> None:
        writer.add_type("model")
        writer.add_name(name)
        writer.add_file_type(file_type.number)
        writer.add_quantization_version(QUANTIZATION_VERSION)
        write_header(writer, architecture)
        write_vocabulary(writer, vocabulary)

    return write_file(out, entries, architecture=architecture.name, describe=describe, workers=workers)


def write_file(
    out: Path,
    entries: Iterable[Entry],
    *,
    architecture: str,
    describe: Callable[["GGUFWriter"], None],
    workers: int = 1,
) -> Written:
    """Write a GGUF file of these tensors, with the metadata that `describe` adds.

    Raises OSError when the disk is full; then nothing stands under the final name.
    """
    import gguf

    entries = list(entries)
    with _finished(out) as unfinished, closing(gguf.GGUFWriter(unfinished, architecture)) as writer:
        describe(writer)
        for entry in entries:
            raw = gguf.GGMLQuantizationType(entry.kind.number)
            writer.add_tensor_info(entry.name, entry.shape, _anything(), entry.kind.num_bytes(entry.shape), raw)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        (file,) = writer.fout
        writer.write_padding(file, file.tell())
        for entry in entries:
            written = _write_blocks(file, entry, workers=workers)
            writer.write_padding(file, written)
    data_bytes = sum(entry.kind.num_bytes(entry.shape) for entry in entries)
    num_values = sum(entry.num_values for entry in entries)
    types = {entry.name: entry.kind.name for entry in entries}
    return Written(out, out.stat().st_size, 8 * data_bytes / num_values, types)


def in_memory(name: str, values: "NDArray[np.float32]", kind: str = "f32") -> Entry:
    """An entry of values that are at hand."""
    chosen = TENSOR_TYPES[kind]
    return Entry(name, values.shape, chosen, lambda: [lambda: _encoded(values, chosen, name)])


def _entry(plan: TensorPlan, stored: StoredTensor, kind: TensorType, *, progress: Progress | None) -> Entry:
    return Entry(plan.name, plan.shape, kind, partial(_jobs, plan, stored, kind, progress))


def _jobs(
    plan: TensorPlan, stored: StoredTensor, kind: TensorType, progress: Progress | None
) -> Iterator[Callable[[], "NDArray[np.uint8]"]]:
    """Reading is done here, one block ahead of the workers; the rest in the jobs."""
    for start, stop in _row_blocks(plan):
        rows = read_rows(stored, start=start, stop=stop)
        if progress is not None:
            progress.advance(rows.nbytes)
        yield partial(_ordered_and_encoded, rows, plan, kind)


def _row_blocks(plan: TensorPlan) -> Iterator[tuple[int, int]]:
    """Ranges of rows of about `BLOCK_VALUES` values; whole heads where rows of a head change places."""
    num_rows, *width = plan.shape
    step = max(1, BLOCK_VALUES // (width[0] if width else 1))
    if not width:
        step = num_rows
    elif plan.head_rows:
        step = max(plan.head_rows, step // plan.head_rows * plan.head_rows)
    for start in range(0, num_rows, step):
        yield start, min(start + step, num_rows)


def _ordered_and_encoded(rows: "torch.Tensor", plan: TensorPlan, kind: TensorType) -> "NDArray[np.uint8]":
    return _encoded(_in_order(rows, plan), kind, plan.source)


def _in_order(rows: "torch.Tensor", plan: TensorPlan) -> "NDArray[np.float32]":
    values = rows.float()
    if plan.head_rows:
        values = interleave_halves(values, head_rows=plan.head_rows)
    ordered: NDArray[np.float32] = values.numpy()
    return ordered


def _encoded(values: "NDArray[np.float32]", kind: TensorType, name: str) -> "NDArray[np.uint8]":
    try:
        return encode_rows(values, kind)
    except UserError as error:
        raise UserError(f"{name} {error}") from None


def _write_blocks(file: Any, entry: Entry, *, workers: int) -> int:
    """Write the blocks of one tensor in order; at most two blocks per worker are in memory. Returns the bytes."""
    written = 0
    for block in _in_threads(entry.blocks(), workers=workers):
        written += file.write(block.data)
    if written != entry.kind.num_bytes(entry.shape):
        raise AssertionError(f"{entry.name}: {written} bytes were made, {entry.kind.num_bytes(entry.shape)} announced")
    return written


def _in_threads(jobs: Iterable[Callable[[], "NDArray[np.uint8]"]], *, workers: int) -> Iterator["NDArray[np.uint8]"]:
    if workers <= 1:
        for job in jobs:
            yield job()
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[NDArray[np.uint8]]] = deque()
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _finished(out: Path) -> Iterator[Path]:
    """A path beside `out` that becomes `out` when the block ends without an error, and is gone otherwise."""
    import os

    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{out.name}.partial")
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


def _anything() -> Any:
    """The numpy type that `add_tensor_info` wants and, with a raw type given, does not use."""
    import numpy as np

    return np.dtype(np.float32)
