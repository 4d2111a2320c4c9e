"""How much of each group goes into a mix: from shares or a temperature, a budget, and how often a row may come.

Knows groups by name and size alone; a size is in rows or in tokens, whatever the budget is in. Draws nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from demiurgic.core.errors import UserError, unknown


@dataclass(frozen=True)
class Amount:
    """Of one group: how much there is, the share asked for, and how much goes into the mix, in the budget's unit."""

    there: int
    asked_share: float
    wanted: float
    """What the share of the whole budget comes to."""
    given: float
    """As much of it as there is, with every row taken at most `max_epochs` times."""


def shares_by_temperature(sizes: Mapping[str, int], *, temperature: float) -> dict[str, float]:
    """Shares in proportion to n^(1/T).

    At 1 each group has the share it has of all; higher temperatures level the groups, lower ones sharpen them. Raffel
    et al. 2020, arXiv 1910.10683, section 3.5.2 (there without its cap on n). A share too small for a float is left
    out: the group gives nothing.
    """
    from math import exp, log

    logs = {name: log(size) / temperature for name, size in sizes.items() if size > 0}
    most = max(logs.values(), default=0.0)
    powers = {name: exp(value - most) for name, value in logs.items()}  # n^(1/T) itself may be too large for a float
    total = sum(powers.values())
    return {name: share for name, power in powers.items() if (share := power / total) > 0}


def shares_by_ratio(sizes: Mapping[str, int], *, ratio: Mapping[str, float], by: str) -> dict[str, float]:
    """Shares that add up to 1. Raises UserError naming the groups there are when one is asked for and has no row."""
    for name in ratio:
        if not sizes.get(name):
            raise UserError(f"shares: {unknown(by, name, sizes)} No row of the data has it.")
    total = sum(ratio.values())
    return {name: part / total for name, part in ratio.items() if part > 0}


def amounts(
    sizes: Mapping[str, int], shares: Mapping[str, float], *, budget: int | None, max_epochs: float
) -> dict[str, Amount]:
    """How much each group gives. Without a budget as much as the scarcest group allows with all shares met.

    A group that has too little gives what it has, as often as it may; the others do not fill its place.
    """
    whole = (
        float(budget) if budget is not None else min(sizes[name] * max_epochs / share for name, share in shares.items())
    )
    return {
        name: Amount(
            size,
            shares.get(name, 0.0),
            whole * shares.get(name, 0.0),
            min(whole * shares.get(name, 0.0), size * max_epochs),
        )
        for name, size in sizes.items()
    }
