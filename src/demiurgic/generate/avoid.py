"""Which questions are not asked: those of evaluation sets, found before they are paid for. Knows no teacher."""

from pathlib import Path
from typing import Annotated, Self, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from demiurgic.core.artifacts import Dataset
from demiurgic.core.metric import JSON
from demiurgic.generate.questions import Question, Unaskable
from demiurgic.run.stage import Many
from demiurgic.text.contamination.sets import digests_of, scanner_of

AVOIDED = "a question of an evaluation set"
Share = Annotated[float, Field(gt=0, le=1)]


class Avoid(BaseModel):
    """What is looked for, and when a question counts as holding it; as the filter `decontaminate` takes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)

    files: tuple[str, ...] = ()
    data: Many[Dataset] = []
    field: str | None = None
    n: int = Field(default=8, ge=4)
    coverage: Share = 0.5
    fuzzy: Share | None = 0.7
    template_items: int = Field(default=10, gt=0)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.files and not self.data:
            raise ValueError("there is nothing to avoid: name evaluation sets with files: [...] or data: [...]")
        return self

    def digests(self, base: Path) -> dict[str, JSON]:
        """Of the files: what the result depends on."""
        return digests_of(self.files, base=base)


@final
class Avoided:
    """Asks the index of evaluation sets."""

    def __init__(self, avoid: Avoid, *, base: Path) -> None:
        settings = avoid.model_dump(exclude={"files", "data"})
        self._scanner = scanner_of(avoid.files, avoid.data, base=base, **settings)

    def why_not(self, question: Question) -> Unaskable | None:
        """Why a question is not asked, what the system says left aside; None where it may be."""
        hit = self._scanner.ask("\n".join(said.content for said in question.messages if said.role != "system"))
        return None if hit is None else Unaskable(question.row, AVOIDED, hit.evidence, hit.item.benchmark)
