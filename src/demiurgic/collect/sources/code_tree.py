"""A folder of code on this machine: a text row per file, or questions about each Python function in it.

What no person wrote, what is other people's, and what stands under another licence than wanted is left out and counted.
"""

import json
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from demiurgic.collect.code_files import TreeLicenses, language_of, not_written
from demiurgic.collect.licenses import SENTENCES, detect_license
from demiurgic.collect.paths import portable_name
from demiurgic.collect.python_questions import KINDS, Kind, PythonFile, ask
from demiurgic.collect.sources import SOURCES, BadRow, LeftOut
from demiurgic.core.errors import UserError
from demiurgic.core.files.records import RAW_LIMIT
from demiurgic.core.hashing import digest_file, digest_files
from demiurgic.core.metric import JSON
from demiurgic.core.records import Row

SUFFIXES = (
    ".py", ".js", ".ts", ".go", ".rs", ".java", ".kt", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".rb", ".sh", ".sql",
)  # fmt: skip
HIDDEN = (".*", "__pycache__")
MADE = ("build", "dist", "*.min.js", "*_pb2.py", "*.pb.go")
VENDORED = ("node_modules", "vendor", "third_party", "site-packages")
EXCLUDE = (*HIDDEN, *MADE, *VENDORED)
"""By name, or by path from the folder: hidden, made by tools, or other people's under their own licence."""


def _fingerprint(base: Path, *, path: str, suffixes: Sequence[str], exclude: Sequence[str], **options: object) -> JSON:
    root = _root(base, path)
    paths = [file for file in _paths(root, suffixes=suffixes, exclude=exclude) if isinstance(file, str)]
    files = digest_files((name, digest_file(root / name)) for name in paths)
    whole = options.get("license") or detect_license(root)
    licenses = TreeLicenses(root, whole=str(whole))
    own = {path: licenses.of_folder(root / path) for path in sorted({str(Path(name).parent) for name in paths} - {"."})}
    folders: dict[str, JSON] = {path: found for path, found in own.items() if found != whole}
    return {"files": files, "license": str(whole), "folders": folders}


@SOURCES.register("code_tree", version=2, fingerprint=_fingerprint)
def code_tree(
    base: Path,
    *,
    path: str,
    name: str = "code_tree",
    suffixes: tuple[str, ...] = SUFFIXES,
    exclude: tuple[str, ...] = EXCLUDE,
    max_bytes: int = 1_000_000,
    license: str | None = None,
    licenses: tuple[str, ...] = (),
    even_generated: bool = False,
    split: Literal["file", "functions"] = "file",
    kinds: tuple[Kind, ...] = KINDS,
) -> Iterator[Row | BadRow | LeftOut]:
    """The files of a folder of code, whole; with `split: functions` Python files as questions about each function.

    `name` begins every id and is the rows' source: give each tree its own. The licence is what a file's own head says,
    or the nearest folder above it, or the whole tree's: `license`, or read from the folder when it is a well-known one.
    `licenses` are those that are wanted, all when it is empty. Left out and counted: files that `exclude` names,
    generated and minified ones (but with `even_generated`), other licences, empty files. Files that are not UTF-8, hold
    null bytes or are larger than `max_bytes` are bad rows.
    """
    root = _root(base, path)
    tree = TreeLicenses(root, whole=license or _detected(root))
    for file in _paths(root, suffixes=suffixes, exclude=exclude):
        if isinstance(file, LeftOut):
            yield file
            continue
        text = _read(root / file, name=file, max_bytes=max_bytes)
        if isinstance(text, BadRow):
            yield text
            continue
        own = tree.of(file, text)
        reason = _unwanted(text, file=file, license=own, licenses=licenses, even_generated=even_generated)
        if reason:
            yield LeftOut(file, reason)
        elif split == "functions" and file.endswith(".py"):
            yield from ask(PythonFile(file, text, source=name, license=own), kinds=kinds)
        else:
            facts = {"file": file, "kind": "file", "language": language_of(file)}
            meta = json.dumps(facts, ensure_ascii=False, sort_keys=True)
            yield Row(f"{name}:{file}", text=text, source=name, license=own, domain="code", meta=meta)


def _unwanted(text: str, *, file: str, license: str, licenses: Sequence[str], even_generated: bool) -> str | None:
    if not text.strip():
        return "empty"
    if licenses and license not in licenses:
        return f"licence {license}"
    return None if even_generated else not_written(text, language=language_of(file))


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


def _paths(root: Path, *, suffixes: Sequence[str], exclude: Sequence[str]) -> list[str | LeftOut]:
    """Files to read, relative to `root`, in order of name, and those that are excluded; links are not followed.

    Hidden folders are not looked into. Raises UserError for a folder that cannot be listed, unless it is excluded.
    """
    found: dict[str, str | LeftOut] = {}
    walk = os.walk(root, onerror=lambda error: _refuse(error, root=root, exclude=exclude))
    for folder, folders, files in walk:
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not _matches(here / name, [p for p in HIDDEN if p in exclude])]
        for path in (here / name for name in files if name.endswith(tuple(suffixes))):
            if not (root / path).is_symlink():
                name, reason = portable_name(path), _excluded(path, exclude)
                found[name] = LeftOut(name, reason) if reason else name
    return [found[name] for name in sorted(found)]


def _refuse(error: OSError, *, root: Path, exclude: Sequence[str]) -> None:
    if error.filename is not None and _excluded(Path(error.filename).relative_to(root), exclude):
        return
    raise UserError(
        f"The folder {error.filename} cannot be read ({error.strerror}). Make it readable, or name it in `exclude` to "
        "leave it out."
    ) from error


def _excluded(path: Path, exclude: Sequence[str]) -> str | None:
    """Why a file is not wanted, by its own name or that of a folder it lies in."""
    for part in (path, *path.parents[:-1]):
        for pattern in exclude:
            if fnmatch(part.name, pattern) or fnmatch(part.as_posix(), pattern):
                return "vendored" if pattern in VENDORED else "generated" if pattern in MADE else "excluded"
    return None


def _matches(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path.name, pattern) for pattern in patterns)


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
