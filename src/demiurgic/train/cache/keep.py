"""What of a teacher's word is kept. The name in `use` is that of the part, and of the signal it gives."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt


def _distinct(temperatures: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(temperatures)) != len(temperatures):
        raise ValueError(f"the temperatures {list(temperatures)} hold one of them twice; give each once")
    return temperatures


Temperatures = Annotated[
    tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], Field(min_length=1), AfterValidator(_distinct)
]
"""Those at which the cache can be asked, each once."""


class _Keep(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeepHidden(_Keep):
    """The final hidden state of each token, with the head: all that a live teacher says, at every temperature."""

    use: Literal["hidden"] = "hidden"
    dtype: Literal["bf16", "fp32"] = "bf16"
    """Of the stored states. bf16 rounds each to 8 bits of its own; the logits are worked out unrounded from those."""


class KeepTopK(_Keep):
    """The likeliest words, and the mass of all others as one."""

    use: Literal["top_k"] = "top_k"
    k: PositiveInt = 64
    temperatures: Temperatures = (1.0,)


class KeepSamples(_Keep):
    """Words drawn with replacement (RS-KD, arXiv 2503.16870)."""

    use: Literal["samples"] = "samples"
    draws: Annotated[int, Field(ge=1, le=65535)] = 50
    """Of each token at each temperature."""
    temperatures: Temperatures = (1.0,)


Keep: TypeAlias = Annotated[KeepHidden | KeepTopK | KeepSamples, Field(discriminator="use")]
