"""Everything that can be named in a recipe, with its options and its one line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demiurgic.collect.public_sets import PUBLIC_SETS
from demiurgic.collect.sources import SOURCES
from demiurgic.core.artifacts import KINDS
from demiurgic.core.metric import JSON
from demiurgic.core.registry import Entry
from demiurgic.models.shapes import SHAPES
from demiurgic.stages import REGISTRIES, STAGES
from demiurgic.train.losses import LOSSES
from demiurgic.train.matrix import SIGNALS, support


@dataclass(frozen=True)
class Thing:
    """One name, the options it takes, its one line, and what else is known of it."""

    name: str
    options: Sequence[str]
    line: str
    facts: Mapping[str, JSON]

    def to_json(self) -> dict[str, JSON]:
        return {"options": list(self.options), "line": self.line, **self.facts}


def catalogue() -> dict[str, list[Thing]]:
    """Plural name -> all things of that sort."""
    stages = [
        Thing(stage.name, list(stage.config.model_fields), stage.line, {"version": stage.version})
        for stage in STAGES.values()
    ]
    sections = {"stages": stages}
    for plural, registry in REGISTRIES.items():
        shared = list(registry.shared.model_fields) if registry.shared else []
        sections[plural] = [
            Thing(
                e.name,
                [*shared, *e.options.model_fields],
                e.line,
                {"version": e.version, **e.facts, **_more(plural, e)},
            )
            for e in registry.entries().values()
        ]
    sections["shapes"] = [Thing(name, [], shape.description, {}) for name, shape in SHAPES.items()]
    sections["kinds"] = [Thing(name, [], (kind.__doc__ or "").partition("\n")[0], {}) for name, kind in KINDS.items()]
    return sections


def _more(plural: str, entry: Entry) -> dict[str, JSON]:
    """What is known of a registered thing beyond what it was registered with."""
    if plural == LOSSES.plural:
        return {"signals": {signal: support(entry, signal) for signal in SIGNALS}}
    if (plural, entry.name) == (SOURCES.plural, "public"):
        return {"sets": {name: known.to_json() for name, known in PUBLIC_SETS.items()}}
    return {}
