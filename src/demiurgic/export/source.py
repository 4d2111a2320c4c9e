"""What is exported: a model or an adapter, told apart when the recipe is read. Knows no format."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, SkipValidation, TypeAdapter, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from demiurgic.core.artifacts import Adapter, Manifest, Model
from demiurgic.core.metric import JSON
from demiurgic.run.stage import Reference

ORIGIN = ("source", "revision", "licence", "license")
"""Facts that a step which brought something in states of it."""


@dataclass(frozen=True, slots=True)
class AdapterReference(Reference):
    """A reference that is known to lead to an adapter, before the step that makes it has run."""


def _read(value: Any, info: ValidationInfo) -> Any:
    """The reference or artifact, whichever of the two kinds it is; one reason where it is neither."""
    if isinstance(value, Model | Adapter):
        return value
    reasons = []
    for kind in (Model, Adapter):
        try:
            found: Any = TypeAdapter(kind).validate_python(value, context=info.context)
        except ValidationError as error:
            reasons.append(error.errors()[0]["msg"])
            continue
        is_adapter = kind is Adapter and isinstance(found, Reference)
        return AdapterReference(found.step, found.part) if is_adapter else found
    reason = re.sub(r"\b(wants|wanted) (a|one) model\b", r"\1 \2 model or adapter", reasons[0])
    raise PydanticCustomError("reference", "{reason}", {"reason": reason})


ModelOrAdapter: TypeAlias = Annotated[SkipValidation[Model | Adapter], BeforeValidator(_read)]


def is_adapter(value: object) -> bool:
    """Of a reference as well as of an artifact."""
    return isinstance(value, Adapter | AdapterReference)


def origins(manifest: Manifest) -> list[JSON]:
    """What is known of where a model came from: source, revision and licence of everything it was made of."""
    return [{"step": step, **facts} for step, facts in _origins(manifest)]


def _origins(manifest: Manifest) -> Iterator[tuple[str, dict[str, JSON]]]:
    steps: list[Any] = [{"step": manifest.step, "summary": manifest.summary.to_json()}, *manifest.lineage.values()]
    for step in steps:
        facts = {name: value for name, value in step["summary"]["facts"].items() if name in ORIGIN and value}
        if facts:
            yield step["step"], facts
