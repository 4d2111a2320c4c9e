"""Numbers that follow a schedule: what a recipe may write for a weight, a temperature, a share, and what it is when.

A field of the type `Annotated[float, Scheduled(gt=0)]` takes a number or a mapping. Code that is called with such a
number gets a plain float: the curriculum asks `number_at` once per optimizer step. Knows neither losses nor models.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from demiurgic.core.errors import nearest, place_of
from demiurgic.core.metric import JSON
from demiurgic.train.phases import Phase, phase_at, phase_starts, progress_of

Share = Annotated[float, Field(ge=0, le=1)]


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class Ramp(_Written):
    """From one value to another: `{from: 1.0, to: 0.2}`. Holds its end values outside of `start` to `end`."""

    from_: float = Field(alias="from")
    to: float
    shape: Literal["linear", "cosine"] = "linear"
    start: Share = 0.0
    """As a share of the optimizer steps of the training; within `phases`, of that phase."""
    end: Share = 1.0

    @model_validator(mode="after")
    def _start_is_before_end(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start ({self.start:g}) is not before end ({self.end:g})")
        return self

    def at(self, progress: float) -> float:
        """The value at a progress from 0 (the first step) to 1 (the last): monotone, exact at both ends."""
        done = min(max((progress - self.start) / (self.end - self.start), 0.0), 1.0)
        if self.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        value = self.from_ + (self.to - self.from_) * done
        low, high = sorted((self.from_, self.to))
        return self.to if done == 1 else min(max(value, low), high)


class ByPhase(_Written):
    """A value for each phase of the training: `{phases: {warm: 0, mix: {from: 0.2, to: 1.0}, end: 0.5}}`."""

    phases: dict[str, float | Ramp] = Field(min_length=1)


class Balance(_Written):
    """A weight that follows the sizes of the losses: `{balance: 0.3}` is 30 % of the total (train/balance.py)."""

    balance: Annotated[float, Field(gt=0, lt=1)]


WrittenT = TypeVar("WrittenT", bound=_Written)
Schedule: TypeAlias = Ramp | ByPhase | Balance
Number: TypeAlias = float | Schedule
"""What a field marked `Scheduled` holds. Its static type is float, since that is what functions are called with."""


def number_at(value: Number, step: int, *, num_steps: int | None, phases: Sequence[Phase] = ()) -> float:
    """The value at an optimizer step, counted from 0. `num_steps` may be unknown (None) where the value is constant."""
    match value:
        case Ramp():
            return value.at(progress_of(step, first=0, past=_known(num_steps)))
        case ByPhase():
            found = phase_at(phases, step, num_steps=_known(num_steps))
            inner = value.phases[found.name]
            return inner.at(found.progress) if isinstance(inner, Ramp) else inner
        case Balance():
            raise AssertionError("a balanced weight depends on losses, which the curriculum knows")
        case _:
            return float(value)


def numbers_in(value: Number) -> list[float]:
    """The values a number moves between; it lies between the lowest and the highest of them at every step.

    Those of a balanced weight are not known; its share stands for it.
    """
    match value:
        case Ramp():
            return [value.from_, value.to]
        case ByPhase():
            return [number for inner in value.phases.values() for number in numbers_in(inner)]
        case Balance():
            return [value.balance]
        case _:
            return [float(value)]


def is_schedule(value: object) -> bool:
    """Whether it depends on the step, so that the number of steps must be known."""
    return isinstance(value, Ramp | ByPhase | Balance)


def moves(value: Number) -> bool:
    """Whether it takes values between those of `numbers_in`, too."""
    return isinstance(value, Ramp) or (isinstance(value, ByPhase) and any(moves(v) for v in value.phases.values()))


def turning_points(value: Number, *, num_steps: int, phases: Sequence[Phase] = ()) -> list[int]:
    """Steps, counted from 0, between which a number is constant or moves one way; first and last among them."""
    match value:
        case Ramp():
            return _around(value, first=0, past=num_steps)
        case ByPhase():
            starts = [*phase_starts(phases, num_steps), num_steps]
            found = []
            for phase, first, past in zip(phases, starts, starts[1:], strict=False):
                inner = value.phases[phase.name]
                found += _around(inner, first=first, past=past) if isinstance(inner, Ramp) else [first, past - 1]
            return found
        case _:
            return [0, num_steps - 1]


def _around(ramp: Ramp, *, first: int, past: int) -> list[int]:
    """The steps at both sides of where a ramp begins and ends."""
    last = past - 1
    places = [first + share * (last - first) for share in (ramp.start, ramp.end)]
    near = [math.floor(place) + offset for place in places for offset in (-1, 0, 1, 2)]
    return [first, *(step for step in near if first < step < last), last]


def problem_of_number(value: Number, phases: Sequence[Phase]) -> str | None:
    """What is wrong with a number in a training that has these phases, or None."""
    if not isinstance(value, ByPhase):
        return None
    names = [phase.name for phase in phases]
    if not names:
        return f"has a value for the phases {', '.join(value.phases)}, and the training has none; set phases"
    for name in value.phases:
        if name not in names:
            return f"has a value for {name}, which is no phase.{nearest(name, names)} Phases: {', '.join(names)}"
    missing = [name for name in names if name not in value.phases]
    return f"has no value for the phase {missing[0]}; give it one (0 turns a loss off)" if missing else None


def scheduled_fields(model: BaseModel) -> Iterator[tuple[str, Schedule]]:
    """The fields of a model that hold a schedule."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if is_schedule(value):
            yield name, value


@dataclass(frozen=True)
class Scheduled:
    """Marks a float field that may follow a schedule. The bounds hold for every value that the schedule can take."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    balance: bool = False
    """Whether `{balance: SHARE}` makes sense: for weights alone."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        bounds = {"gt": self.gt, "ge": self.ge, "lt": self.lt, "le": self.le}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        number = core_schema.float_schema(allow_inf_nan=False, **given)  # type: ignore[arg-type]
        return core_schema.no_info_wrap_validator_function(
            self._read, number, serialization=core_schema.plain_serializer_function_ser_schema(_plain)
        )

    def _read(self, value: Any, number: Callable[[Any], float]) -> Number:
        if isinstance(value, BaseModel):
            value = value.model_dump(by_alias=True)
        match value:
            case {"balance": _}:
                if not self.balance:
                    raise PydanticCustomError("choice", "balance is for weights; give a number, or from and to")
                return _checked(Balance, value)
            case {"phases": Mapping() as phases}:
                inner = {name: _number_or_ramp(item, number, f"phases.{name}") for name, item in phases.items()}
                return _checked(ByPhase, {**value, "phases": inner})
            case _:
                return _number_or_ramp(value, number)


def _number_or_ramp(value: Any, number: Callable[[Any], float], where: str = "") -> float | Ramp:
    if not isinstance(value, Mapping):
        return number(value) if not where else _checked_end(value, number, where)
    ramp = _checked(Ramp, value, where)
    for name, end in (("from", ramp.from_), ("to", ramp.to)):
        _checked_end(end, number, f"{where}.{name}".removeprefix("."))
    return ramp


def _checked_end(value: Any, number: Callable[[Any], float], where: str) -> float:
    try:
        return number(value)
    except ValidationError as error:
        raise _in_one_line(error, where) from None


def _checked(model: type[WrittenT], value: Mapping[str, Any], where: str = "") -> WrittenT:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _in_one_line(error, where) from None


def _in_one_line(error: ValidationError, where: str) -> PydanticCustomError:
    """What pydantic found inside a schedule, said where in it; only the type `choice` reaches a person unchanged."""
    first = error.errors()[0]
    place = ".".join(part for part in (where, *(str(part) for part in place_of(first["loc"]))) if part)
    reason = first["msg"].removeprefix("Value error, ")
    found = "" if first["type"] in ("missing", "value_error") else f"; found {first['input']!r}"
    return PydanticCustomError("choice", "{reason}", {"reason": f"{place}: {reason}{found}".removeprefix(": ")})


def _plain(value: Number) -> JSON:
    if isinstance(value, BaseModel):
        plain: JSON = value.model_dump(mode="json", by_alias=True)
        return plain
    return value


def _known(num_steps: int | None) -> int:
    if num_steps is None:
        raise AssertionError("a schedule needs the number of steps; a recipe without it is refused")
    return num_steps
