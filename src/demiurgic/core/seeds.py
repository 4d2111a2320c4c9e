"""Randomness from named streams: one seed, and no stream changes because another one was read."""

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, slots=True)
class Seeds:
    """A family of random streams grown from one seed."""

    seed: int

    def number(self, name: str) -> int:
        """A 63-bit seed for the stream `name`, the same in every process."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def stream(self, name: str) -> random.Random:
        return random.Random(self.number(name))

    def array_stream(self, name: str) -> "numpy.random.Generator":
        import numpy

        return numpy.random.default_rng(self.number(name))


def share_of(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: for splits that never move with their neighbours."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
