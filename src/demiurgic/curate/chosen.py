"""Filters as text, for processes that cannot be sent functions: names, options, and the folders of artifacts."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from demiurgic.core.artifacts import KINDS, Artifact, Kinds, Manifest
from demiurgic.core.registry import Choice
from demiurgic.curate.filters import FILTERS
from demiurgic.run.stage import written


def as_text(filters: Sequence[Choice]) -> str:
    """The filters of a recipe, resolved, as one text."""
    said = [written(choice, lambda artifact: str(artifact.path)) for choice in filters]
    return json.dumps([{name: value for name, value in choice.items() if name != "version"} for choice in said])


@cache
def from_text(text: str) -> Sequence[Choice]:
    """The filters that `as_text` wrote; made once per process."""
    return [FILTERS.choose(chosen, context={"resolve": _opened}) for chosen in json.loads(text)]


def _opened(text: str, kinds: Kinds) -> Artifact:
    """The artifact in a folder, whose files the process that sent its name has checked."""
    del kinds
    folder = Path(text)
    manifest = Manifest.read(folder.parent)
    return KINDS[manifest.parts[folder.name].kind](folder, folder.name, manifest)
