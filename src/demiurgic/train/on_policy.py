"""Text that the student writes itself, for its teacher to correct (GKD, Agarwal et al. 2024, arXiv 2306.13649)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from demiurgic.run.stage import ONLY_SPEED
from demiurgic.train.losses import LOWEST_TEMPERATURE
from demiurgic.train.scheduled import Scheduled


class OnPolicy(BaseModel):
    """Let the student go on from the prompts of the data, and learn what the teacher says of what it wrote."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    share: Annotated[float, Scheduled(ge=0, le=1)] = 0.5
    """Of the steps, drawn by one coin for all processes. May follow a schedule."""
    max_new_tokens: PositiveInt = 128
    """Less where a prompt leaves less room in the model's context."""
    temperature: Annotated[float, Field(ge=LOWEST_TEMPERATURE)] = 1.0
    """Of the student's own sampling."""
    rows: Annotated[PositiveInt, ONLY_SPEED] = 32
    """How many texts each process writes at once."""
