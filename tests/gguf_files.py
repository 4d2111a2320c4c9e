"""GGUF files read back with the format's own Python package: values, types and metadata of tests' small files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray


def fields_of(file: Path) -> dict[str, Any]:
    """The metadata of a file."""
    reader = gguf.GGUFReader(file)
    return {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}


def values_of(file: Path) -> Mapping[str, "NDArray[np.float32]"]:
    """Every tensor of a file as fp32, in its logical shape (rows first)."""
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        .astype(np.float32)
        .reshape(tuple(int(length) for length in reversed(tensor.shape)))
        for tensor in gguf.GGUFReader(file).tensors
    }


def types_of(file: Path) -> dict[str, str]:
    """The type of every tensor of a file."""
    return {tensor.name: tensor.tensor_type.name.lower() for tensor in gguf.GGUFReader(file).tensors}
