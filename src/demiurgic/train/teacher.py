"""The teacher of a recipe: a model, a cache of what one said, or an endpoint that is asked."""

from typing import Annotated, Any, TypeAlias, cast

from pydantic_core import CoreSchema, core_schema

from demiurgic.core.artifacts import Artifact, Either, Logits, Model
from demiurgic.run.stage import Reference
from demiurgic.train.signals import Signal
from demiurgic.train.signals.served import Served


class _ReferenceOrServed:
    """A mapping is a served teacher, all else a reference."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        reference = handler.generate_schema(Either[Model | Logits])  # type: ignore[misc]
        served = handler.generate_schema(Served)
        return core_schema.tagged_union_schema(
            {"reference": reference, "served": served},
            discriminator=_which,
            custom_error_type="teacher",
            custom_error_message=(
                "what a teacher told with its answers is laid to their tokens first: make a step {use: cache_logits, "
                "data: …, tokenizer: …, keep: {use: top_k, k: 20}, teacher: {use: recorded, logprobs: …}} and give "
                "its name as teacher"
            ),
        )


def _which(value: Any) -> str:
    if isinstance(value, dict) and value.get("use") == "recorded":
        return "recorded"  # of which there is no schema
    return "served" if isinstance(value, dict | Served) else "reference"


Teacher: TypeAlias = Annotated[Model | Logits | Served, _ReferenceOrServed()]
"""What `teacher` of a train step may be."""


def signal_of(teacher: Any) -> Signal:
    """Which signal a teacher gives; known when the recipe is read, from the kind and name of the part alone."""
    match teacher:
        case Served():
            return "served"
        case Reference(kind=kind, part=part):
            return cast(Signal, part) if issubclass(kind, Logits) else "live"
        case Artifact():
            return cast(Signal, teacher.name) if isinstance(teacher, Logits) else "live"
        case _:
            raise AssertionError(f"{teacher!r} is no teacher")
