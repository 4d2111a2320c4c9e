"""Text that the student writes itself, for its teacher to correct (GKD, Agarwal et al. 2024, arXiv 2306.13649)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class OnPolicy(BaseModel):
    """Let the student go on from the prompts of the data, and learn what the teacher says of what it wrote."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of the steps, drawn by one coin for all processes."""
    max_new_tokens: PositiveInt = 128
    temperature: PositiveFloat = 1.0
    """Of the student's own sampling."""
