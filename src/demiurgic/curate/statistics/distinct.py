"""How many distinct things there were, from 4,096 bytes whatever their number: HyperLogLog. Two of them join.

Flajolet et al. 2007, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm"; the estimate is
Ertl's (2017, arXiv 1702.01284, algorithm 6), which needs no correction for small or large counts. R registers.
"""

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

REGISTERS = 1 << 12
BITS = 52
"""Of a hash of 64 bits those that are left when 12 have chosen the register."""
ERROR = 1.04 / sqrt(REGISTERS)
"""The relative standard error: 1.6 %."""


@dataclass(frozen=True)
class Distinct:
    """For each register (uint8) the largest number of leading zeros, plus one, among the hashes that fell into it."""

    registers_R: "np.ndarray[Any, np.dtype[np.uint8]]"

    def __add__(self, other: "Distinct") -> "Distinct":
        import numpy as np

        return Distinct(np.maximum(self.registers_R, other.registers_R))

    @property
    def count(self) -> float:
        """The estimate; 0 of none."""
        import numpy as np

        histogram = np.bincount(self.registers_R, minlength=BITS + 2).astype(float)
        z = REGISTERS * _tau(1 - histogram[BITS + 1] / REGISTERS)
        for rank in range(BITS, 0, -1):
            z = (z + histogram[rank]) / 2
        z += REGISTERS * _sigma(histogram[0] / REGISTERS)
        return 0.0 if z == float("inf") else float(REGISTERS**2 / (2 * np.log(2) * z))


def _sigma(x: float) -> float:
    if x == 1:
        return float("inf")
    y, z, before = 1.0, x, -1.0
    while z != before:
        x, before = x * x, z
        z, y = z + x * y, y + y
    return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x, before, y = sqrt(x), z, y / 2
        z -= (1 - x) ** 2 * y
    return z / 3
