"""What is exported: a model or an adapter, told apart when the recipe is read. Knows no format."""

from collections.abc import Iterator
from typing import Any

from demiurgic.core.artifacts import Adapter, Manifest
from demiurgic.core.metric import JSON
from demiurgic.run.stage import Reference

ORIGIN = ("source", "revision", "licence", "license")
"""Facts that a step which brought something in states of it."""


def is_adapter(value: object) -> bool:
    """Of a reference as well as of an artifact."""
    return isinstance(value, Adapter) or (isinstance(value, Reference) and issubclass(value.kind, Adapter))


def origins(manifest: Manifest) -> list[JSON]:
    """What is known of where a model came from: source, revision and licence of everything it was made of."""
    return [{"step": step, **facts} for step, facts in _origins(manifest)]


def _origins(manifest: Manifest) -> Iterator[tuple[str, dict[str, JSON]]]:
    steps: list[Any] = [{"step": manifest.step, "summary": manifest.summary.to_json()}, *manifest.lineage.values()]
    for step in steps:
        facts = {name: value for name, value in step["summary"]["facts"].items() if name in ORIGIN and value}
        if facts:
            yield step["step"], facts
