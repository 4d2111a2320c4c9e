"""A teacher behind an endpoint that tells the log-probabilities of a text: its likeliest words, and the rest as one."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from demiurgic.providers import ProviderChoice


class Served(BaseModel):
    """Ask an endpoint for the log-probabilities of each text, through the journal."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    use: Literal["served"] = "served"
    provider: ProviderChoice
    top_k: Annotated[int, Field(gt=0)] = 20
    """How many words of each position are asked for."""
