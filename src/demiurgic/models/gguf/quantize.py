"""Values to the bytes of a tensor type, by llama.cpp's own quantizer. Knows rows of numbers, nothing of models.

Shapes: R rows, W values of a row.
"""

import ctypes
import functools
import importlib
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.models.gguf.types import TensorType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

F16_MAX = 65504.0
"""The largest finite half."""


def encode_rows(values_RW: "NDArray[np.float32]", kind: TensorType) -> "NDArray[np.uint8]":
    """The bytes [R, row bytes] of fp32 rows in a tensor type, equal to llama.cpp's to the bit.

    Each row is encoded by itself, so any split into blocks of rows gives the same bytes. Thread-safe; other threads run
    meanwhile. Raises UserError for values that are not finite, or too large for the type.
    """
    import numpy as np

    values_RW = np.ascontiguousarray(values_RW, np.float32)
    if not np.isfinite(values_RW).all():
        raise UserError("holds numbers that are not finite. The model is damaged: train or fetch it again.")
    if kind.name == "f32":
        return values_RW.view(np.uint8)
    if kind.name == "f16":
        return _halves(values_RW).view(np.uint8)
    if kind.name == "bf16":
        return _bfloats(values_RW).view(np.uint8)
    return _quantized(values_RW, kind)


def _halves(values_RW: "NDArray[np.float32]") -> "NDArray[np.float16]":
    import numpy as np

    largest = float(np.abs(values_RW).max(initial=0.0))
    if largest >= F16_MAX:
        raise UserError(
            f"holds a weight of {largest:.0f}, beyond f16's {F16_MAX:.0f}. Use f32 (type: f32), or bf16 for a whole "
            "model."
        )
    return values_RW.astype(np.float16)


def _bfloats(values_RW: "NDArray[np.float32]") -> "NDArray[np.uint16]":
    """The upper halves of the words, rounded to nearest, ties to even."""
    import numpy as np

    words = values_RW.view(np.uint32)
    rounded = words + (np.uint32(0x7FFF) + ((words >> np.uint32(16)) & np.uint32(1)))
    result: NDArray[np.uint16] = (rounded >> np.uint32(16)).astype(np.uint16)
    if bool(((result & 0x7FFF) == 0x7F80).any()):
        raise UserError("holds a weight beyond bf16's range. Use f32 (type: f32).")
    return result


def _quantized(values_RW: "NDArray[np.float32]", kind: TensorType) -> "NDArray[np.uint8]":
    import numpy as np

    rows, width = values_RW.shape
    if not kind.fits(width):
        raise AssertionError(f"rows of {width} values are no whole blocks of {kind.name}")
    encoded = np.empty((rows, width // kind.block * kind.block_bytes), np.uint8)
    lib = _library()
    lib.ggml_quantize_init(kind.number)
    written = lib.ggml_quantize_chunk(kind.number, values_RW.ctypes.data, encoded.ctypes.data, 0, rows, width, None)
    if written != encoded.nbytes:
        raise AssertionError(f"{kind.name}: {written} bytes were written where {encoded.nbytes} were expected")
    if not lib.ggml_validate_row_data(kind.number, encoded.ctypes.data, encoded.nbytes):
        raise UserError(f"holds weights too large for {kind.name}. Use bf16 (type: bf16).")
    return encoded


@functools.cache
def _library() -> Any:
    """llama.cpp as the xllamacpp wheel carries it; its C functions are exported."""
    require("xllamacpp")
    lib = ctypes.CDLL(str(importlib.import_module("xllamacpp.xllamacpp").__file__))
    size, pointer, long = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int64
    lib.ggml_quantize_init.argtypes = [ctypes.c_int]
    lib.ggml_quantize_init.restype = None
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, long, long, long, pointer]
    lib.ggml_quantize_chunk.restype = size
    lib.ggml_validate_row_data.argtypes = [ctypes.c_int, pointer, size]
    lib.ggml_validate_row_data.restype = ctypes.c_bool
    return lib
