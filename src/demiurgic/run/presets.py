"""The presets of a recipe: values that belong together, such as those that fit one size of GPU, under one name.

    presets:
      40gb: {student.micro_batch: 2, student.gradient_checkpointing: true}

Paths and values are those of `--set`. Knows nothing of stages; what the values mean is found when the steps are read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demiurgic.core.errors import RecipeError, unknown
from demiurgic.run.yaml_lines import Document, Place

SHAPE = "presets wants {NAME: {STEP.FIELD: VALUE, ...}}"


@dataclass(frozen=True)
class Entry:
    """One `STEP.FIELD: VALUE` of a preset."""

    path: str
    value: Any
    line: int | None

    @property
    def text(self) -> str:
        """As `--set` would say it: reading a recipe with these texts is choosing the preset."""
        return f"{self.path}={json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True)
class Preset:
    name: str
    entries: tuple[Entry, ...]

    @property
    def lines(self) -> frozenset[int | None]:
        """Where its entries stand in the recipe."""
        return frozenset(entry.line for entry in self.entries)


def read_presets(document: Document, *, file: str) -> dict[str, Preset]:
    """All presets of a recipe, by name. Raises RecipeError for one that is no mapping of paths to values."""
    written = document.value.get("presets", {})
    if not isinstance(written, dict):
        raise RecipeError(f"{SHAPE}; found {written!r}", file=file, line=document.lines.get(("presets",)))
    presets = {}
    for name, values in written.items():
        place: Place = ("presets", name)
        if not isinstance(values, dict):
            raise RecipeError(f"{SHAPE}; found {name}: {values!r}", file=file, line=document.lines.get(place))
        entries = (Entry(path, value, document.lines.get((*place, path))) for path, value in values.items())
        presets[name] = Preset(name, tuple(entries))
    return presets


def chosen(presets: Mapping[str, Preset], name: str | None, *, file: str) -> Preset | None:
    """The preset of that name; None where none is asked for. Raises RecipeError for one there is not."""
    if name is None:
        return None
    if name not in presets:
        raise RecipeError(unknown("preset", name, presets), file=file)
    return presets[name]
