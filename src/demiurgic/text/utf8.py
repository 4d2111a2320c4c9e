"""Texts as Arrow holds them: one run of UTF-8 bytes and where each text begins. Nothing is copied that need not be."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow


@dataclass(frozen=True)
class Texts:
    """N texts: text i is `bytes_B[offsets_N1[i]:offsets_N1[i + 1]]`.

    `bytes_B` is uint8, `offsets_N1` is int64 with N + 1 numbers that never fall; the first need not be 0.
    """

    bytes_B: "np.ndarray[Any, np.dtype[np.uint8]]"
    offsets_N1: "np.ndarray[Any, np.dtype[np.int64]]"

    @classmethod
    def of(cls, array: "pyarrow.Array | pyarrow.ChunkedArray | Sequence[str]") -> "Texts":
        """The texts of an Arrow array of strings, without a copy of the bytes; null is the empty text."""
        import numpy as np
        import pyarrow as pa

        if not isinstance(array, pa.Array | pa.ChunkedArray):
            array = pa.array(array, pa.large_string())
        if isinstance(array, pa.ChunkedArray):
            array = array.cast(pa.large_string()).combine_chunks()
        if array.null_count:
            array = array.fill_null("")
        wide = pa.types.is_large_string(array.type)
        if not wide and not pa.types.is_string(array.type):
            raise TypeError(f"wants an array of strings, found {array.type}")
        _, starts, data = array.buffers()
        number = np.int64 if wide else np.int32
        # An array without texts may come without buffers.
        offsets = np.frombuffer(starts, number) if starts else np.zeros(array.offset + len(array) + 1, number)
        chosen = offsets[array.offset : array.offset + len(array) + 1].astype(np.int64, copy=False)
        return cls(np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8), chosen)

    def __len__(self) -> int:
        return len(self.offsets_N1) - 1

    @property
    def num_bytes(self) -> int:
        return int(self.offsets_N1[-1] - self.offsets_N1[0])

    @cached_property
    def longest_bytes(self) -> int:
        import numpy as np

        return int(np.diff(self.offsets_N1).max(initial=0))

    def __getitem__(self, index: int) -> bytes:
        start, stop = self.offsets_N1[index], self.offsets_N1[index + 1]
        return bytes(self.bytes_B[start:stop])
