"""Losses that drown one another, and losses that do nothing."""

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from demiurgic.core.metric import JSON, Metric
from demiurgic.diagnose.finding import Change, Finding, NotCheckedError
from demiurgic.diagnose.log import Account, Curve, StepLine
from demiurgic.diagnose.spread import FEWEST_STEPS, change, mean_of, percent, shown, two_digits
from demiurgic.diagnose.training import Training

MOST_OF_ALL = 0.95
"""Of the sum of all weighted losses (or of their gradients' norms). A share above it leaves the others a twentieth:
the usual 0.9 and 0.1 of distillation stay below it while both losses are of one size."""
ALL = 0.995
"""Above this share the others are below a two hundredth, which is less than what the total moves from batch to batch:
removing them would not be seen."""
QUARTER = 0.25
"""Shares are read from the first and the last quarter of the steps, and must be high in both: a divergence that is
nearly gone at the end has done its work, and one that has not begun may have its time later."""
LEAST_FACTOR = 1e-5
"""A weight is not lowered further than this: the others are then no losses of another size, they are nothing."""
NOTHING = 1e-6
"""Nats, or a squared difference: the rounding of fp32 logits is about as large."""
FEWEST_NORMS = 4
"""Steps with logged norms, so that each end has two."""
UNMOVED = 0.01
"""A loss whose mean changes by less than a hundredth from the first to the last quarter has not been learned from."""

Size = Callable[[Account], float]


def imbalance(training: Training) -> Iterator[Finding]:
    """One loss is nearly all of the total from first to last, by the norms of the gradients where they are logged."""
    lines = [line for line in training.log.steps if len(line.active) > 1]
    if not lines:
        raise NotCheckedError("no step had more than one loss")
    normed = [line for line in lines if all(a.gradient_norm is not None for a in line.active.values())]
    by_norm = len(normed) >= FEWEST_NORMS
    lines, size = (normed, _by_gradient) if by_norm else (lines, _by_value)
    part = max(2, round(QUARTER * len(lines)))
    living = [name for name in training.log.names if not _is_nothing(training.log.raw(name))]
    for name in living if len(living) > 1 else ():
        first, last = _share(name, lines[:part], size), _share(name, lines[-part:], size)
        if first is not None and last is not None and min(first.low, last.low) > MOST_OF_ALL:
            yield _imbalanced(training, name, lines[:part], first, last, by_norm=by_norm)


def _share(name: str, lines: Sequence[StepLine], size: Size) -> Metric | None:
    """How large one loss is beside all of them; None where it was not computed."""
    own = [line.active for line in lines if name in line.active]
    if len(own) < 2:
        return None
    return mean_of([size(active[name]) / (sum(map(size, active.values())) or 1.0) for active in own])


def _imbalanced(
    training: Training, name: str, lines: Sequence[StepLine], first: Metric, last: Metric, *, by_norm: bool
) -> Finding:
    others = [other for other in training.log.names if other != name]
    of = "the norms of the weighted gradients" if by_norm else "the weighted losses"
    raws = ", ".join(_told(other, lines) for other in training.log.names)
    unseen = "" if by_norm else "; set gradient_norms_every too, and the next training logs their gradients"
    return Finding(
        "loss_imbalance",
        "wrong" if by_norm or min(first.low, last.low) > ALL else "doubtful",
        f"{name} is {_interval(first)} of {of} in steps {lines[0].step}-{lines[-1].step} ({raws}), and "
        f"{_interval(last)} in the last {len(lines)}",
        f"{' and '.join(others)} {'cost' if len(others) > 1 else 'costs'} time, and what is learned is nearly what it "
        f"would be without",
        f"even the weights out, so that {name} is as large as the rest{unseen}",
        training.log.cite(lines[0].step, training.log.last_step),
        tuple(_evened(training, name, first)),
    )


def _interval(share: Metric) -> str:
    return f"{percent(share.value)} [{percent(share.low)}, {percent(share.high)}]"


def _evened(training: Training, name: str, share: Metric) -> Iterator[Change]:
    """The weights at which this loss is as large as all others together: it comes down, or they come up to it.

    What is above 1 comes down, so that the total keeps the size that clipping and the optimizer are set for.
    """
    losses = (training.config or {}).get("losses") or []
    factor = (1 - share.value) / share.value
    if len(losses) != len(training.log.names) or factor < LEAST_FACTOR:
        return
    weights = {other: loss["weight"] for other, loss in zip(training.log.names, losses, strict=True)}
    large = max(line.components[name].weight for line in training.log.steps if name in line.components) > 1
    for position, other in enumerate(training.log.names):
        if (other == name) == large:
            weight = times(weights[other], factor if large else 1 / factor)
            if weight is not None:
                yield Change(("losses", position, "weight"), weight)


def times(weight: Any, factor: float) -> JSON:
    """A weight, or every number of its schedule, times a factor; None where it is balanced by itself."""
    match weight:
        case bool() | str() | None:
            return None
        case int() | float():
            return two_digits(weight * factor)
        case {"phases": dict(phases)}:
            return {"phases": {str(phase): times(value, factor) for phase, value in phases.items()}}
        case {"from": start, "to": end}:
            return {**weight, "from": two_digits(start * factor), "to": two_digits(end * factor)}
        case _:
            return None


def dead(training: Training) -> Iterator[Finding]:
    """A loss that is never computed, is always 0, or never moves."""
    if not training.log.steps:
        raise NotCheckedError("the log has no step")
    first, last = training.log.steps[0].step, training.log.last_step
    for name in training.log.names:
        raw = training.log.raw(name)
        if not len(raw):
            yield from _never(training, name, first, last)
        elif _is_nothing(raw):
            found = f"is never above {max(map(abs, raw.values)):.2g} at {len(raw)} steps"
            yield _dead(training, name, found, "wrong", first, last)
        elif len(raw) > 2 and len(set(raw.values)) == 1:
            found = f"has the same value at all {len(raw)} steps: {raw.values[0]:.6g}"
            yield _dead(training, name, found, "wrong", first, last)
        else:
            yield from _unmoved(training, name)


def _never(training: Training, name: str, first: int, last: int) -> Iterator[Finding]:
    if training.finished:
        found = f"has weight 0 at all {len(training.log.steps)} steps and was never computed"
        yield _dead(training, name, found, "doubtful", first, last)


def _unmoved(training: Training, name: str) -> Iterator[Finding]:
    """It stands still while another loss falls: where none falls, it is the learning rate's matter."""
    own = training.log.raw(name)
    others = [training.log.raw(other) for other in training.log.names if other != name]
    if len(own) < FEWEST_STEPS or not any(map(_falls, others)):
        return
    moved, size = change(own.share(0, QUARTER), own.share(1 - QUARTER, 1)), abs(fmean(own.share(0, QUARTER).values))
    if max(abs(moved.low), abs(moved.high)) < UNMOVED * size:
        found = (
            f"changes by {shown(moved)} from the first to the last quarter of its {len(own)} steps, of a mean of "
            f"{size:.4g}, while another loss falls"
        )
        yield _dead(training, name, found, "doubtful", own.steps[0], own.steps[-1])


def _falls(curve: Curve) -> bool:
    if len(curve) < FEWEST_STEPS or _is_nothing(curve):
        return False
    moved, before = change(curve.share(0, QUARTER), curve.share(1 - QUARTER, 1)), curve.share(0, QUARTER)
    return moved.high < 0 and -moved.value > 5 * UNMOVED * abs(fmean(before.values))


def _is_nothing(curve: Curve) -> bool:
    return max(map(abs, curve.values), default=0.0) < NOTHING


def _dead(training: Training, name: str, found: str, severity: Any, first: int, last: int) -> Finding:
    return Finding(
        "dead_component",
        severity,
        f"{name} {found}",
        "it teaches nothing, and what it was added for is missing",
        "take it out, or give it what it lacks: a weight above 0, a teacher that is not the student itself, a rate "
        "at which it moves",
        training.log.cite(first, last),
    )


def _by_value(account: Account) -> float:
    return abs(account.weighted)


def _by_gradient(account: Account) -> float:
    return account.gradient_norm or 0.0


def _told(name: str, lines: Sequence[StepLine]) -> str:
    found = [line.active[name] for line in lines if name in line.active]
    if not found:
        return f"{name} not computed"
    return f"{name}: raw {fmean(a.raw or 0.0 for a in found):.4g}, weight {fmean(a.weight for a in found):.3g}"
