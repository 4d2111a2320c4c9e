"""Content addresses: the same thing gives the same digest in every process and on every machine.

The encoder raises on anything it cannot write down in one way only, rather than fall back to `repr`.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

KEY_LENGTH = 16
"""Hex digits of a key as it stands in folder names: 64 bits, a collision in a store of 10,000 steps has odds 3e-12."""


def canonical(value: Any) -> str:
    """Write `value` as JSON in the one canonical way: sorted keys, no spaces, floats by their shortest `repr`.

    Raises TypeError on a set, a custom object or a non-string key, ValueError on NaN and infinity.
    """
    return json.dumps(_checked(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _checked(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{value} has no canonical form")
            return value
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"the mapping key {key!r} is a {type(key).__name__}, not a string")
            return {key: _checked(item) for key, item in value.items()}
        case list() | tuple():
            return [_checked(item) for item in value]
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical form: {value!r}")


def digest_of(value: Any) -> str:
    """sha256 (64 hex digits) of the canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """sha256 (64 hex digits) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_files(files: Iterable[tuple[str, str]]) -> str:
    """One digest for a folder, from its (relative path, file digest) pairs; their order does not matter."""
    return digest_of(sorted([path, digest] for path, digest in files))
