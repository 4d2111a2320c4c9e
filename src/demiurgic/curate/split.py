"""Decides on which side of the split a row falls: all rows of a group on one side, whoever else is there."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from demiurgic.core.groups import group_of
from demiurgic.core.records import Row
from demiurgic.core.seeds import share_of
from demiurgic.curate.duplicates import said

Side = Literal["train", "validation", "held_out"]
SIDES: tuple[Side, ...] = ("train", "validation", "held_out")


class Split(BaseModel):
    """Shares of the *groups* that go to each side; the rest is for training.

    `validation` is for choosing checkpoints and settings, so that `held_out` is only ever scored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str = "row"
    """`row`, a field of the rows (`source`, `domain`, `license`, `id`), or one of their meta (`module`)."""
    held_out: float = Field(default=0.1, ge=0, lt=1)
    validation: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> Self:
        if self.held_out + self.validation >= 1:
            raise ValueError(f"held_out {self.held_out} and validation {self.validation} leave nothing to train on")
        return self

    def share(self, side: Side) -> float:
        return {"held_out": self.held_out, "validation": self.validation}.get(side, 1 - self.held_out - self.validation)


def split_group(row: Row, *, by: str) -> str:
    """The group of a row. Raises UserError when it has no such field.

    Single rows are grouped by what they say, so that copies that were not removed stay on one side.
    """
    return said(row) if by == "row" else group_of(row, by=by, option="split.by")


def side_of(group: str, *, split: Split, seed: int) -> Side:
    """The side of a group: a function of its name and the seed alone, so that no other group can move it.

    held_out takes from the low end and validation from the high end: changing one share moves no row of the other.
    """
    place = share_of(f"{seed}/{group}")
    if place < split.held_out:
        return "held_out"
    return "validation" if place >= 1 - split.validation else "train"
