"""Finds the files that a recipe names by path or pattern, and a name for each that holds on every machine."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from demiurgic.core.errors import UserError

PATTERN = re.compile(r"[*?\[]")


def find_files(patterns: Sequence[str], *, base: Path) -> Mapping[str, Path]:
    """Every file that `patterns` (paths, or globs with `**`) match below `base`, by name, in the order of the patterns.

    A file that several patterns match comes once, by the first. A file's name is its path from where its pattern begins
    to vary (`data/*/x.csv` gives `en/x.csv`), so that it tells nothing of the machine, and does not change when another
    file is added.
    Raises UserError when a pattern matches nothing, or two files get one name.
    """
    if not patterns:
        raise UserError('paths is empty; wanted at least one path or pattern, such as paths: ["data/*.jsonl"].')
    files: dict[str, Path] = {}
    earlier: set[Path] = set()
    for pattern in patterns:
        found = _matches(pattern, base=base)
        for name, path in found.items():
            if name not in files and path.absolute() in earlier:
                continue
            if files.setdefault(name, path).resolve() != path.resolve():
                raise UserError(
                    f"{files[name]} and {path} would both be called {name}. Name them by one pattern over a "
                    "folder that holds both, or collect them in two steps."
                )
        earlier |= {path.absolute() for path in found.values()}
    return files


def portable_name(path: PurePath) -> str:
    """A relative path with forward slashes; raises UserError when its bytes are not UTF-8, for ids hold it."""
    name = path.as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"The file name {name!r} is not UTF-8. Rename the file, or leave it out.") from None
    return name


def _matches(pattern: str, *, base: Path) -> dict[str, Path]:
    path = base / pattern
    if path.is_file():
        return {portable_name(PurePath(path.name)): path}
    if path.is_dir():
        raise UserError(f'{path} is a folder; wanted files. Write "{pattern.rstrip("/")}/*.jsonl" for those in it.')
    if not PATTERN.search(pattern):
        raise UserError(f"{path} does not exist. Check the path; relative paths start from the recipe's folder.")
    fixed, varying = _split(path)
    found = {portable_name(p.relative_to(fixed)): p for p in sorted(fixed.glob(varying)) if p.is_file()}
    if not found:
        raise UserError(f"No file matches {path}. Check the pattern; relative patterns start from the recipe's folder.")
    return found


def _split(path: PurePath) -> tuple[Path, str]:
    parts = path.parts
    first = next(i for i, part in enumerate(parts) if PATTERN.search(part))
    return Path(*parts[:first]), "/".join(parts[first:])
