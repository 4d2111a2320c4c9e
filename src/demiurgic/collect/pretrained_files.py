"""Which files of a pretrained model or adapter are brought in, and what its card says of the licence.

Only what is read as data: never code, pickles, GGUF files or a second copy of the weights in another layout.
"""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from demiurgic.collect.licenses import FILE_NAMES, detect_license
from demiurgic.core.console import Console, Progress, size
from demiurgic.core.errors import UserError
from demiurgic.core.hashing import digest_file
from demiurgic.models.architectures import (
    check_description,
    file_names,
    refuse_other_than_model,
    refuse_without_tokenizer,
)
from demiurgic.run.yaml_lines import ODD

Kind = Literal["model", "adapter"]
CHUNK_BYTES = 1 << 20
CARD = "README.md"
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.*",
)
NAMES: Mapping[Kind, Sequence[str]] = {
    "model": (
        "config.json",
        "generation_config.json",
        "model*.safetensors",
        "model.safetensors.index.json",
        *TOKENIZER,
    ),
    "adapter": ("adapter_config.json", "adapter_model.safetensors", "base.json"),
}
"""What stands at the root of a repository. `consolidated.safetensors` is the same weights under other names."""
WEIGHTS: Mapping[Kind, str] = {"model": "model*.safetensors", "adapter": "adapter_model.safetensors"}


def wanted_files(names: Sequence[str], *, kind: Kind, where: str) -> list[str]:
    """Those of a repository's file names that are brought in.

    Raises UserError when there is no tokenizer among them, or no weights that can be read safely; `where` names the
    repository.
    """
    if kind == "model":
        refuse_other_than_model(names, where=where)
        refuse_without_tokenizer(names, where=where)
    elif "adapter_config.json" not in names and "config.json" in names:
        raise UserError(f"{where} is a model, not an adapter. Leave kind away.")
    found = [name for name in names if _is_wanted(name, kind=kind)]
    if not any(fnmatchcase(name, WEIGHTS[kind]) for name in found):
        raise UserError(f"{where} holds no {WEIGHTS[kind]}: no {kind} that can be read. Give one in safetensors.")
    return found


def copy_files(source: Path, folder: Path, *, kind: Kind, console: Console) -> dict[str, str]:
    """Copy what is wanted of a local folder into a new one; returns the sha256 of each file that was copied.

    Raises UserError, before anything is copied, for a folder without weights and for a model that cannot be used.
    """
    wanted = wanted_files(file_names(source), kind=kind, where=str(source))
    if kind == "model":
        check_description(source)
    total = sum((source / name).stat().st_size for name in wanted)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    console.say(f"  {source}: {len(wanted)} files, {size(total)}")
    with console.progress(f"copying {source.name}", total) as progress:
        return {name: _copy(source / name, folder / name, progress=progress) for name in wanted}


def file_digests(folder: Path, *, kind: Kind) -> dict[str, str]:
    """The sha256 of each file that would be brought in, by name."""
    return {name: digest_file(folder / name) for name in file_names(folder) if _is_wanted(name, kind=kind)}


def license_of(folder: Path) -> str | None:
    """What the card's front matter says (`license: apache-2.0`), else the known text at the folder's root; or None."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    card = folder / CARD
    match = (
        re.match(r"---\r?\n(.*?)\r?\n---", card.read_text("utf-8", "replace"), re.DOTALL) if card.is_file() else None
    )
    try:
        front = YAML(typ="safe").load(match[1]) if match else None
    except (YAMLError, *ODD):
        front = None  # a card is prose that many hands wrote: one that cannot be read says nothing
    if isinstance(front, dict) and front.get("license"):
        named = front.get("license_name") if front["license"] == "other" else None
        found = named or front["license"]
        return ", ".join(str(name) for name in found) if isinstance(found, list) else str(found)
    return detect_license(folder)


def _copy(source: Path, target: Path, *, progress: Progress) -> str:
    """Copy a file; returns the sha256 of what was read, which a second look at the source need not give."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            writing.write(chunk)
            digest.update(chunk)
            progress.advance(len(chunk))
    return digest.hexdigest()


def _is_wanted(name: str, *, kind: Kind) -> bool:
    written = name == CARD or FILE_NAMES.match(name) is not None
    return written or any(fnmatchcase(name, pattern) for pattern in NAMES[kind])
