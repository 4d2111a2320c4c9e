"""Which rows go into a mix and how often: by a hash of the seed and the row's id, so that no other row moves a choice.

Of each group, the rows chosen for a small amount are among those chosen for a larger one. N rows.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from demiurgic.curate.mix.amounts import Amount
from demiurgic.curate.mix.survey import Survey

if TYPE_CHECKING:
    import numpy as np

    Rows = np.ndarray[Any, np.dtype[np.int64]]
    Times = np.ndarray[Any, np.dtype[np.int32]]


def sizes_of(survey: Survey) -> dict[str, int]:
    """Rows of each group, or tokens where those were asked for; rows that repeat an id are none."""
    import numpy as np

    weights = survey.tokens_N if survey.tokens_N is not None else np.ones(len(survey.group_N), np.int64)
    usable = np.where(survey.repeats_id_N, 0, weights)
    sums = np.bincount(survey.group_N, weights=usable, minlength=len(survey.groups))
    return dict(zip(survey.groups, sums.astype(np.int64).tolist(), strict=True))


def times_taken(survey: Survey, amounts: Mapping[str, Amount], *, seed: int) -> "Times":
    """How often each row is in the mix: all rows of a group equally often, some of them once more."""
    import numpy as np

    times_N = np.zeros(len(survey.group_N), np.int32)
    order_N = _mixed(survey.id_hash_N + np.uint64(seed))
    targets = {name: amount.given for name, amount in amounts.items()}
    if survey.tokens_N is None:
        targets = dict(_whole(amounts))
    for place, name in enumerate(survey.groups):
        rows = np.flatnonzero((survey.group_N == place) & ~survey.repeats_id_N)
        if len(rows) and targets[name] > 0:
            drawn = rows[np.argsort(order_N[rows], kind="stable")]
            sizes = survey.tokens_N[drawn] if survey.tokens_N is not None else np.ones(len(drawn), np.int64)
            ends = np.cumsum(sizes)
            epochs = int(targets[name] // ends[-1])
            times_N[drawn] = epochs
            # Rows are whole: the last that fits, so never more than was asked for.
            more = int(np.searchsorted(ends, targets[name] - epochs * ends[-1], side="right"))
            times_N[drawn[:more]] += 1
    return times_N


def _whole(amounts: Mapping[str, Amount]) -> dict[str, int]:
    """Whole rows that add up to the whole of what is given: what rounding down leaves goes to the largest fractions.

    A group that gives all it has gets none of it. With a larger budget a group may have one row less, for another's
    fraction is then larger.
    """
    rows = {name: int(amount.given + 1e-9) for name, amount in amounts.items()}
    left = round(sum(amount.given for amount in amounts.values())) - sum(rows.values())
    roomy = [
        name for name, amount in amounts.items() if amount.given > 0 and rows[name] < amount.wanted <= amount.given
    ]
    for name in sorted(roomy, key=lambda name: (rows[name] - amounts[name].given, name))[: max(0, left)]:
        rows[name] += 1
    return rows


def _mixed(value_N: "np.ndarray[Any, np.dtype[np.uint64]]") -> "np.ndarray[Any, np.dtype[np.uint64]]":
    """The finaliser of SplitMix64 (Steele et al. 2014): another seed gives quite another order."""
    import numpy as np

    value_N = (value_N ^ (value_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value_N = (value_N ^ (value_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value_N ^ (value_N >> np.uint64(31))
