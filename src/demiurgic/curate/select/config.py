"""What a person may say of which rows to select: trusted sources, others by their score, and how many of each kind."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Scored(_Options):
    """Some sources, taken together, of which only the best rows by a score stay. The limits add up: all must hold."""

    sources: list[str] = Field(min_length=1)
    score: str = "quality"
    keep: float | None = Field(default=None, gt=0, le=1)
    """The best share of the rows that came this far, rounded up to a whole row."""
    rows: int | None = Field(default=None, ge=1)
    """The best so many rows."""
    min: float | None = None
    """Rows with less than this go."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.keep is self.rows is self.min is None:
            raise ValueError("say how much stays: keep (a share), rows (a number) or min (a score)")
        return self


class Quotas(_Options):
    """How many rows there may be of each source or domain; names that are not listed are not limited."""

    by: Literal["source", "domain"]
    rows: dict[str, Annotated[int, Field(ge=0)]] = Field(min_length=1)
    score: str | None = None
    """The best by this score stay; null: any, by a hash of their id."""


def _listed(value: object) -> object:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


class Select(_Options):
    """Which of the rows that are neither bad nor double to keep. Sources that nothing here names stay whole."""

    trusted: list[str] = []
    """Sources that stay whole: no quota of a domain takes a row of theirs, though they count in it."""
    scored: list[Scored] = []
    quotas: Annotated[list[Quotas], BeforeValidator(_listed)] = []

    @model_validator(mode="after")
    def _says_one_thing_of_a_source(self) -> Self:
        named = Counter([*self.trusted, *(name for tier in self.scored for name in tier.sources)])
        twice = sorted(name for name, times in named.items() if times > 1)
        if twice:
            raise ValueError(f'the source "{twice[0]}" is named twice in trusted and scored: let it stand in one tier')
        both = sorted(set(self.trusted) & {name for q in self.quotas if q.by == "source" for name in q.rows})
        if both:
            raise ValueError(f'the source "{both[0]}" is trusted, which keeps it whole, and has a quota: choose one')
        if not (self.trusted or self.scored or self.quotas):
            raise ValueError("selects nothing: give trusted, scored or quotas")
        return self
