"""Keeps what the rows of a curation said as hashes, and gives it to later curations to compare with.

A folder of kind `fingerprints` holds `fingerprints.json` (how they were made), `rows.parquet` (the id of each row and
128 bits of what it says) and, for each key that was compared, a folder with the n-grams of the rows (`text/known.py`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Fingerprints
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.curate.duplicates.config import Duplicates, Key, Near
from demiurgic.curate.duplicates.survey import survey
from demiurgic.curate.spill import Spill
from demiurgic.text.known import Known
from demiurgic.text.neighbours import known_of
from demiurgic.text.ngrams import Shingling
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

FORM = 1
"""Raise it when hashes are made in another way: older folders are refused."""
SETTINGS, ROWS = "fingerprints.json", "rows.parquet"


def write_fingerprints(
    folder: Path,
    spill: Spill,
    kept_N: "np.ndarray[Any, np.dtype[np.bool_]]",
    *,
    config: Duplicates,
    workspace: Workspace,
    threads: int,
) -> None:
    """Write the part `index`: what the rows that were kept in the end said. Makes `folder`."""
    import pyarrow as pa
    from pyarrow import parquet

    near = config.near
    keys = near.key if near else []
    looked = survey(spill, kept_N, config=Duplicates(), keys=keys, workspace=workspace, threads=threads)
    folder.mkdir(parents=True)
    columns = {"id": spill.ids(looked.row_A), "said_1": looked.said_A2[:, 0], "said_2": looked.said_A2[:, 1]}
    parquet.write_table(pa.table(columns), folder / ROWS, compression="zstd")
    if near:
        for key, texts in looked.texts.items():
            (folder / key).mkdir()
            known_of(texts, shingling=shingling_of(near), chosen_N=_all(len(looked)), threads=threads).write(
                folder / key
            )
    looked.release(workspace)
    settings = {"form": FORM, "num_rows": len(looked), "near": _made_with(near) | {"key": keys} if near else None}
    write_text(folder / SETTINGS, json.dumps(settings, indent=1) + "\n")


def shingling_of(near: Near) -> Shingling:
    return Shingling(near.unit, near.n, near.common_above)


def _all(num_rows: int) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    import numpy as np

    return np.ones(num_rows, np.bool_)


def _made_with(near: Near) -> dict[str, Any]:
    """What n-grams depend on. Common ones are settled by each run, and kept here with the others."""
    return {"unit": near.unit, "n": near.n}


@dataclass(frozen=True)
class Earlier:
    """The K rows of all indexes, one index after the other."""

    ids: "pyarrow.ChunkedArray"
    said_K2: "np.ndarray[Any, np.dtype[np.uint64]]"
    known: Mapping[Key, Known]

    def __len__(self) -> int:
        return len(self.said_K2)


def read_earlier(indexes: Sequence[Fingerprints], config: Duplicates) -> Earlier | None:
    """The rows of earlier curations, None without any index.

    Raises UserError, naming the index, where one was made by settings that this curation does not compare by.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    if not indexes:
        return None
    for index in indexes:
        _check(index, config.near)
    tables = [parquet.read_table(index.path / ROWS) for index in indexes]
    said = [np.stack([table["said_1"].to_numpy(), table["said_2"].to_numpy()], axis=1) for table in tables]
    known: dict[Key, Known] = {}
    if config.near:
        for key in config.near.key:
            shingling = shingling_of(config.near)
            known[key] = Known.joined([Known.read(index.path / key, shingling=shingling) for index in indexes])
    return Earlier(pa.concat_tables([table.select(["id"]) for table in tables])["id"], np.concatenate(said), known)


def _check(index: Fingerprints, near: Near | None) -> None:
    settings = json.loads((index.path / SETTINGS).read_text(encoding="utf-8"))
    if settings["form"] != FORM:
        raise UserError(
            f"The index {index.path} is of form {settings['form']}, and this version reads form {FORM}. Run the step "
            f"that made it ({index.manifest.step}) again."
        )
    if near is None:
        return
    found = settings["near"]
    if found is None:
        raise UserError(
            f"The index {index.path} holds no n-grams: its curation removed no near-duplicates. Run "
            f"{index.manifest.step} again with near, or compare exactly here."
        )
    wanted = _made_with(near)
    differ = [
        f"{name} {found[name]} where this curation has {wanted[name]}" for name in wanted if found[name] != wanted[name]
    ]
    missing = [key for key in near.key if key not in found["key"]]
    differ += [f"key {', '.join(found['key'])} where this curation compares {', '.join(missing)}"] if missing else []
    if differ:
        raise UserError(
            f"The index {index.path} was made with {' and '.join(differ)}. Say the same here, or run "
            f"{index.manifest.step} again with the settings of this curation."
        )
