"""Which arrays a cache consists of, by what is kept. Knows shapes and types alone, not what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.train.cache.keep import KeepHidden, KeepSamples, KeepTopK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ID_BYTES = 3
"""Of a word's id: vocabularies up to 16.7 million."""
WORDS = "words"
"""The one array whose rows are words drawn, not tokens."""


@dataclass(frozen=True)
class Array:
    """A file of rows: one for each token, or one for each word drawn."""

    name: str
    dtype: str
    """As NumPy writes it; bf16 is `<u2`."""
    shape: tuple[int, ...]
    """Of one row."""

    @property
    def file(self) -> str:
        return f"{self.name}.bin"

    @property
    def row_bytes(self) -> int:
        import numpy as np

        return int(np.dtype(self.dtype).itemsize * prod(self.shape))


@dataclass(frozen=True)
class WordBits:
    """How a word drawn is packed into bytes: its id, then the number of times it was drawn, less one."""

    id_bits: int
    count_bits: int

    @classmethod
    def of(cls, *, vocab_size: int, draws: int) -> "WordBits":
        """Raises UserError when id and count do not fit 32 bits."""
        bits = cls(max(vocab_size - 1, 1).bit_length(), (draws - 1).bit_length())
        if bits.id_bits + bits.count_bits > 32:
            raise UserError(
                f"{draws} draws from {vocab_size} words need {bits.id_bits} + {bits.count_bits} bits for each word "
                f"drawn; wanted at most 32. Set draws to {1 << (32 - bits.id_bits)} or less."
            )
        return bits

    @property
    def num_bytes(self) -> int:
        return 3 if self.id_bits + self.count_bits <= 24 else 4


def arrays_of(keep: KeepHidden | KeepTopK | KeepSamples, *, vocab_size: int, width: int | None) -> tuple[Array, ...]:
    """The arrays of a cache in the order of their checksum; `width` is that of hidden states."""
    match keep:
        case KeepHidden():
            assert width is not None
            return (Array("hidden", {"bf16": "<u2", "fp32": "<f4"}[keep.dtype], (width,)),)
        case KeepTopK():
            return (
                Array("ids", "|u1", (keep.k, ID_BYTES)),
                Array("log_probs", "<f4", (keep.k,)),
                Array("log_tail", "<f4", (len(keep.temperatures),)),
            )
        case KeepSamples():
            bits = WordBits.of(vocab_size=vocab_size, draws=keep.draws)
            per_temperature = (len(keep.temperatures),)
            return (
                Array("distinct", "|u1" if keep.draws < 256 else "<u2", per_temperature),
                Array("entropy", "<f4", per_temperature),
                Array(WORDS, "|u1", (bits.num_bytes,)),
            )


def index_dtype() -> "np.dtype[Any]":
    """Of `windows.bin`: where the rows of a window end (tokens, words drawn), and its two checksums."""
    import numpy as np

    return np.dtype([("tokens", "<i8"), ("words", "<i8"), ("text", "V16"), ("rows", "V16")])


Rows = Mapping[str, "NDArray[np.generic]"]
"""The rows of some tokens, by the name of the array."""
