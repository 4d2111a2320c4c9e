"""The running Python's own standard library: real code with docstrings on every machine, without a download."""

import os
import platform
import sysconfig
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from demiurgic.collect.python_questions import KINDS, MAX_CHARACTERS, MIN_CHARACTERS, Kind, PythonFile, ask
from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.core.errors import UserError, unknown
from demiurgic.core.hashing import digest_file, digest_files
from demiurgic.core.metric import JSON
from demiurgic.core.records import Row

LEFT_OUT = (
    "test", "tests", "idle_test",                       # what checks the library is not the library
    "site-packages", "dist-packages", "ensurepip",      # other people's packages
    "sitecustomize.py", "usercustomize.py",
    "__pycache__", "lib-dynload", "config-*", "_sysconfigdata*.py",  # made when this Python was built
    "__phello__", "__hello__.py", "pydoc_data", "re/_casefix.py",  # generated
)  # fmt: skip
"""Folders and files that hold no code of the library's authors; by name, or by path from the library's folder."""

WRITTEN_ENCODINGS = ("__init__.py", "idna.py", "punycode.py")
"""The other hundred files of `encodings` are tables, and copies of one template."""


def _fingerprint(base: Path, *, packages: list[str] | None, **_options: object) -> JSON:
    del base
    root = _root()
    files = digest_files((path, digest_file(root / path)) for path in _paths(root, packages=packages))
    return {"python": platform.python_version(), "files": files}


@SOURCES.register("python_stdlib", fingerprint=_fingerprint)
def python_stdlib(
    base: Path,
    *,
    kinds: tuple[Kind, ...] = KINDS,
    min_characters: int = MIN_CHARACTERS,
    max_characters: int = MAX_CHARACTERS,
    packages: list[str] | None = None,
) -> Iterator[Row | BadRow]:
    """Every function and class of the running Python's standard library: write, complete and explain.

    `packages` names the top-level packages and modules to read (`asyncio`, `textwrap`); all when None.
    """
    del base
    root = _root()
    for path in _paths(root, packages=packages):
        try:
            # Honours the encoding line of the file and gives \n line ends.
            with tokenize.open(root / path) as file:
                text = file.read()
        except (SyntaxError, UnicodeDecodeError) as error:
            yield BadRow(path, 1, "not in the encoding it names", str(error))
            continue
        yield from ask(
            PythonFile(path, text, source="python_stdlib", license="PSF-2.0"),
            kinds=kinds,
            min_characters=min_characters,
            max_characters=max_characters,
        )


def _root() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _paths(root: Path, *, packages: list[str] | None) -> list[str]:
    """The library's files, relative to its folder, in order of name."""
    paths: list[str] = []
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not _left_out((here / name).as_posix())]
        paths += [path for name in files if not _left_out(path := (here / name).as_posix()) and name.endswith(".py")]
    if packages is None:
        return sorted(paths)
    known = {path.partition("/")[0].removesuffix(".py") for path in paths}
    for name in packages:
        if name not in known:
            raise UserError(unknown("package in the standard library's Python code", name, known))
    return sorted(path for path in paths if path.partition("/")[0].removesuffix(".py") in packages)


def _left_out(path: str) -> bool:
    name = path.rpartition("/")[2]
    if path.startswith("encodings/"):
        return name not in WRITTEN_ENCODINGS
    return any(fnmatch(name, pattern) or fnmatch(path, pattern) for pattern in LEFT_OUT)
