"""A folder of code on this machine: a text row per file, or questions about each Python function in it."""

import json
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from demiurgic.collect.licenses import SENTENCES, detect_license
from demiurgic.collect.paths import portable_name
from demiurgic.collect.python_questions import KINDS, Kind, PythonFile, ask
from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.core.errors import UserError
from demiurgic.core.files.readers import RAW_LIMIT
from demiurgic.core.hashing import digest_file, digest_files
from demiurgic.core.metric import JSON
from demiurgic.core.records import Row

SUFFIXES = (
    ".py", ".js", ".ts", ".go", ".rs", ".java", ".kt", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".rb", ".sh", ".sql",
)  # fmt: skip
EXCLUDE = (
    ".*", "__pycache__", "build", "dist", "*.min.js", "*_pb2.py",
    "node_modules", "vendor", "third_party", "site-packages",
)  # fmt: skip
"""By name, or by path from the folder: hidden, made by tools, or other people's under their own licence."""


def _fingerprint(base: Path, *, path: str, suffixes: Sequence[str], exclude: Sequence[str], **options: object) -> JSON:
    root = _root(base, path)
    files = digest_files((name, digest_file(root / name)) for name in _paths(root, suffixes=suffixes, exclude=exclude))
    return {"files": files, "license": None if options.get("license") else detect_license(root)}


@SOURCES.register("code_tree", fingerprint=_fingerprint)
def code_tree(
    base: Path,
    *,
    path: str,
    name: str = "code_tree",
    suffixes: tuple[str, ...] = SUFFIXES,
    exclude: tuple[str, ...] = EXCLUDE,
    max_bytes: int = 1_000_000,
    license: str | None = None,
    split: Literal["file", "functions"] = "file",
    kinds: tuple[Kind, ...] = KINDS,
) -> Iterator[Row | BadRow]:
    """The files of a folder of code, whole; with `split: functions` Python files as questions about each function.

    `name` begins every id and is the rows' source: give each tree its own. The licence is read from the folder when it
    is a well-known one, else the option must say it. Empty files give no row, larger ones than `max_bytes` a bad one.
    """
    root = _root(base, path)
    license = license or _detected(root)
    for file in _paths(root, suffixes=suffixes, exclude=exclude):
        text = _read(root / file, name=file, max_bytes=max_bytes)
        if isinstance(text, BadRow):
            yield text
        elif split == "functions" and file.endswith(".py"):
            yield from ask(PythonFile(file, text, source=name, license=license), kinds=kinds)
        elif text.strip():
            meta = json.dumps({"file": file, "kind": "file"}, ensure_ascii=False, sort_keys=True)
            yield Row(f"{name}:{file}", text=text, source=name, license=license, domain="code", meta=meta)


def _root(base: Path, path: str) -> Path:
    root = base / path
    if not root.is_dir():
        raise UserError(f"{root} is not a folder. Check `path`; relative paths start from the recipe's folder.")
    return root


def _detected(root: Path) -> str:
    license = detect_license(root)
    if license is None:
        known = ", ".join(sorted(SENTENCES))
        raise UserError(
            f"{root} has no licence file that says one well-known licence (of {known}). Say under which it stands, by "
            "its SPDX identifier: license: MIT, or license: LicenseRef-own for your own code."
        )
    return license


def _paths(root: Path, *, suffixes: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Files to read, relative to `root`, in order of name; links are not followed.

    Raises UserError for a folder that cannot be listed, unless it is excluded.
    """
    paths: list[str] = []
    for folder, folders, files in os.walk(root, onerror=_refuse):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not _excluded(here / name, exclude)]
        wanted = [here / name for name in files if name.endswith(tuple(suffixes))]
        paths += [portable_name(p) for p in wanted if not _excluded(p, exclude) and not (root / p).is_symlink()]
    return sorted(paths)


def _refuse(error: OSError) -> None:
    raise UserError(
        f"The folder {error.filename} cannot be read ({error.strerror}). Make it readable, or name it in `exclude` to "
        "leave it out."
    ) from error


def _excluded(path: Path, exclude: Sequence[str]) -> bool:
    return any(fnmatch(path.name, pattern) or fnmatch(path.as_posix(), pattern) for pattern in exclude)


def _read(path: Path, *, name: str, max_bytes: int) -> str | BadRow:
    size_bytes = path.stat().st_size
    if size_bytes > max_bytes:
        return BadRow(name, 1, "larger than max_bytes", f"{size_bytes} bytes")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return BadRow(name, line, "not UTF-8", data.decode("utf-8", "replace")[:RAW_LIMIT])
    if "\0" in text:
        return BadRow(name, text.count("\n", 0, text.index("\0")) + 1, "holds null bytes", text[:RAW_LIMIT])
    return text.replace("\r\n", "\n").replace("\r", "\n")
