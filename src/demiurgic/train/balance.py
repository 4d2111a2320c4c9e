"""Weights that follow the sizes of the losses, so that one component is a given share of the total.

`weight: {balance: b}` on components j, numbers or schedules w_k on the others. With m the running mean of a component's
raw value, over the steps before this one,

    w_j = b_j / (1 - sum(b)) * sum(w_k m_k) / m_j

so that w_j m_j is the share b_j of the sum of all w m. The weight is a number: no gradient goes through it. The means
are exponential with bias correction (Kingma & Ba 2015, arXiv 1412.6980, section 3), one per component and source,
since a loss on the student's own text is of another size than on data.
"""

from collections.abc import Iterable, Mapping, Sequence

DECAY = 0.9
"""Of the running means: a step counts half after 7 others."""
LIMIT = 1e3
"""A component that is smaller than the others' sum by more than this is weighed as if it were not: what has reached 0
must not be multiplied by infinity."""

State = Mapping[str, float]
"""Running means and the number of steps behind each, by component and source. Plain numbers, for a checkpoint."""


def balanced_weight(
    name: str, *, share: float, all_shares: float, others: Mapping[str, float], source: str, state: State
) -> float:
    """The weight of a component that is to be `share` of the total; `others` are the weights that are not balanced.

    Where one of those involved was never measured, all count as equally large: this is so at the first step.
    """
    factor = share / (1 - all_shares)
    means = {other: _mean(state, other, source) for other in others if others[other]}
    own = _mean(state, name, source)
    if own is None or any(mean is None for mean in means.values()):
        return factor * sum(others.values())
    reference = sum(others[other] * mean for other, mean in means.items() if mean is not None)
    smallest = reference / LIMIT
    return factor * reference / max(own, smallest) if reference > 0 else factor * sum(others.values())


def measured(state: State, names: Iterable[str], raws: Sequence[float], *, source: str) -> dict[str, float]:
    """The state after a step in which these components had these raw values."""
    found = dict(state)
    for name, raw in zip(names, raws, strict=True):
        mean_key, count_key = _keys(name, source)
        count = found.get(count_key, 0.0) + 1
        mean = found.get(mean_key, 0.0)
        # the correction of the bias, moved into the step: the same numbers as a mean from 0 divided by 1 - DECAY^count
        found[mean_key] = mean + (abs(raw) - mean) * (1 - DECAY) / (1 - DECAY**count)
        found[count_key] = count
    return found


def _mean(state: State, name: str, source: str) -> float | None:
    return state.get(_keys(name, source)[0])


def _keys(name: str, source: str) -> tuple[str, str]:
    return f"{source}/{name}/mean", f"{source}/{name}/steps"
