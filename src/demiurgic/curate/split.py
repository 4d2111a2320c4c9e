"""Decides on which side of the split a row falls: all rows of a group on one side, whoever else is there. N rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from demiurgic.core.groups import ROW_FIELDS, group_of
from demiurgic.core.row_batch import RowBatch
from demiurgic.core.seeds import share_of
from demiurgic.curate.duplicates.said import as_hex
from demiurgic.curate.spill import Spill
from demiurgic.curate.statistics.labels import label_of

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[Any, np.dtype[np.bool_]]
    Shares = np.ndarray[Any, np.dtype[np.float64]]
    Places = np.ndarray[Any, np.dtype[np.int8]]

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


def shares_of(spill: Spill, alive_N: "Mask", *, split: Split, seed: int) -> "Shares":
    """For each row that is alive a number in [0, 1) that its group alone decides; NaN for the others.

    Raises UserError for a row without the field.
    """
    import numpy as np

    share_N = np.full(spill.num_rows, np.nan)
    if split.by == "row":
        # Grouped by what they say, so that copies that were not removed stay on one side.
        share_N[alive_N] = [share_of(f"{seed}/{said}") for said in as_hex(spill.said_N2[alive_N])]
        return share_N
    known: dict[str, float] = {}
    for first, rows in spill.batches(columns_of(split)):
        alive = alive_N[first : first + len(rows)]
        groups = split_groups(rows.filter(alive), by=split.by)
        known |= {group: share_of(f"{seed}/{group}") for group in {*groups} - known.keys()}
        share_N[first : first + len(rows)][alive] = [known[group] for group in groups]
    return share_N


def columns_of(split: Split) -> Sequence[str]:
    """What `split_groups` reads."""
    return [split.by] if split.by in ROW_FIELDS else ["id", "meta"]


def split_groups(rows: RowBatch, *, by: str) -> list[str]:
    """The group of each row by a field of its own or of its meta. Raises UserError when one has no such field."""
    column = rows.column(by) if by in ROW_FIELDS else label_of(rows.column("meta"), by)
    groups: list[str | None] = column.to_pylist()
    if None in groups:
        from demiurgic.core.records import Row

        place = groups.index(None)
        lost = Row(rows.column("id")[place].as_py(), meta=rows.column("meta")[place].as_py())
        group_of(lost, by=by, option="split.by")
    return [group for group in groups if group is not None]


def sides_of(share_N: "Shares", *, split: Split) -> "Places":
    """The side of each row, as its place in SIDES: a function of its group's share alone, so that no other group can
    move it.

    held_out takes from the low end and validation from the high end: changing one share moves no row of the other.
    """
    import numpy as np

    places = {side: SIDES.index(side) for side in SIDES}
    side_N = np.full(len(share_N), places["train"], np.int8)
    side_N[share_N >= 1 - split.validation] = places["validation"]
    side_N[share_N < split.held_out] = places["held_out"]
    return side_N
