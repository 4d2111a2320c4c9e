"""What makes no sense among phases and schedules, seen when a recipe is read, or once its number of steps is known."""

from collections.abc import Iterator

from demiurgic.train.aims import Aims
from demiurgic.train.components import Source, asked_of
from demiurgic.train.phases import problem_of_phases
from demiurgic.train.scheduled import (
    Balance,
    Number,
    is_schedule,
    number_at,
    numbers_in,
    problem_of_number,
    scheduled_fields,
    turning_points,
)


def problem_of_schedules(aims: Aims, *, num_steps: int | None) -> str | None:
    """The first thing that is wrong with phases and schedules, or None.

    `num_steps` is None where it is not known yet; to be asked again when it is.
    """
    problem = problem_of_phases(aims.phases, num_steps) or _balance(aims)
    if problem is not None:
        return problem
    for place, value in _numbers(aims):
        problem = problem_of_number(value, aims.phases)
        if problem is not None:
            return f"{place} {problem}"
    return _idle(aims, num_steps=num_steps)


def problem_of_measured_length(aims: Aims) -> str | None:
    """What depends on the number of steps in a training that measures it on the way, or None."""
    found = [place for place, value in _numbers(aims) if is_schedule(value) and not isinstance(value, Balance)]
    if aims.phases:
        found = ["phases", *found]
    if found:
        return (
            f"{found[0]} depends on the number of steps, which match_seconds fixes on the way; give steps or epochs, "
            "or a number that stays"
        )
    return None


def _balance(aims: Aims) -> str | None:
    """Balanced weights that follow nothing."""
    for source in aims.sources:
        asked = [(name, loss.shared.weight) for name, loss in aims.named if asked_of(loss, source)]
        shares = {name: weight.balance for name, weight in asked if isinstance(weight, Balance)}
        if not shares:
            continue
        text = "the data" if source == "data" else "the student's text"
        if len(shares) == len(asked):
            return (
                f"on {text} every weight is balanced ({', '.join(shares)}), so that none says how large the others "
                "are; give one loss there a number"
            )
        if sum(shares.values()) >= 1:
            return (
                f"on {text} the balanced weights ({', '.join(shares)}) are shares of the total that sum to "
                f"{sum(shares.values()):g}; leave some for the others"
            )
    return None


def _idle(aims: Aims, *, num_steps: int | None) -> str | None:
    """A step whose losses all have weight 0."""
    for source in aims.sources:
        step = idle_step(aims, source, num_steps=num_steps)
        if step is not None:
            text = "of the data" if source == "data" else "of the student's own text"
            return (
                f"at step {step + 1} every loss that is asked {text} has weight 0, so there is nothing to train on; "
                "give one a positive weight there (a ramp can begin a little above 0)"
            )
    return None


def idle_step(aims: Aims, source: Source, *, num_steps: int | None) -> int | None:
    """The first step, counted from 0, that can be on text of this source and has no loss with a weight; or None.

    A balanced weight is 0 where all others are. None, too, where a schedule's number of steps is not known.
    """
    weights: list[Number] = [loss.shared.weight for loss in aims.losses if asked_of(loss, source)]
    weights = [weight for weight in weights if not isinstance(weight, Balance)]
    if any(min(numbers_in(weight)) > 0 for weight in weights):
        return None
    numbers = [*weights, aims.share]
    if num_steps is None:
        return None if any(is_schedule(number) for number in numbers) else 0

    def at(number: Number, step: int) -> float:
        return number_at(number, step, num_steps=num_steps, phases=aims.phases)

    # all move one way between their turning points, so that the first such step is one of those
    points = {step for number in numbers for step in turning_points(number, num_steps=num_steps, phases=aims.phases)}
    for step in sorted(points):
        there = at(aims.share, step) < 1 if source == "data" else at(aims.share, step) > 0
        if there and not any(at(weight, step) for weight in weights):
            return step
    return None


def _numbers(aims: Aims) -> Iterator[tuple[str, Number]]:
    """Every number that may follow a schedule, and what it is called."""
    for name, loss in aims.named:
        yield f"the weight of {name}", loss.shared.weight
        for option, value in scheduled_fields(loss.options):
            yield f"the {option} of {name}", value
    if aims.on_policy is not None:
        yield "on_policy.share", aims.on_policy.share
