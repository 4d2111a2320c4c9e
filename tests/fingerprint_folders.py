"""Indexes of earlier curations: finished steps with one part of kind `fingerprints`, made of a few rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demiurgic.core.artifacts import Fingerprints, Manifest, stamp_part
from demiurgic.core.metric import Summary
from demiurgic.core.records import Row
from demiurgic.curate.duplicates.config import Duplicates
from demiurgic.curate.duplicates.fingerprints import write_fingerprints
from demiurgic.text.workspace import Workspace
from spilled import spilled


def index_of(
    rows: Sequence[Row], folder: Path, *, stay: Sequence[bool], step: str = "earlier", **settings: Any
) -> Path:
    """The folder of the part `index` that a curation with these settings leaves of the rows that stay."""
    work, part = folder / "work", folder / step / "index"
    work.mkdir(parents=True)
    with Workspace(work, 1 << 30) as workspace:
        config = Duplicates.model_validate(settings)
        spill = spilled(rows, work)
        write_fingerprints(part, spill, np.array(stay), config=config, workspace=workspace, threads=1)
    manifest = Manifest(
        step,
        "curate",
        2,
        "0" * 16,
        {},
        None,
        {},
        {"index": stamp_part(part, kind="fingerprints")},
        Summary(),
        {},
        {},
        "",
    )
    manifest.write(part.parent)
    assert Fingerprints.open(part).name == "index"
    return part
