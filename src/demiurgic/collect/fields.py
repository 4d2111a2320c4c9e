"""Reads the fields of a record as text, and makes messages of them. Knows no format.

A field that is null is an empty text: whether a row without an answer may stay is for `curate` to say, which counts it.
"""

import json
from collections.abc import Mapping
from typing import Any

from demiurgic.core.records import RowError

Fields = Mapping[str, Any]


def text(record: Fields, name: str) -> str:
    """Raises RowError when there is no such field, or it holds something else."""
    if name not in record:
        raise RowError(f"no {name}")
    return optional_text(record, name)


def optional_text(record: Fields, name: str) -> str:
    """Empty where there is no such field. Raises RowError when it holds something else."""
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"{name} is not text")
    return value


def listed(record: Fields, name: str) -> list[Any]:
    """A list, or one written as JSON text. Raises RowError for anything else."""
    value = record.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RowError(f"{name} is not JSON") from None
    if not isinstance(value, list):
        raise RowError(f"{name} is not a list" if name in record else f"no {name}")
    return value


def paragraphs(*texts: str) -> str:
    """Texts with an empty line between; empty ones are left out."""
    return "\n\n".join(filter(None, texts))


def asked(prompt: str, answer: str, *, system: str = "") -> list[dict[str, Any]]:
    """A question and its answer as messages, after the system message if there is one."""
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return [{"role": "system", "content": system}, *turns] if system else turns


def known(record: Fields, *names: str) -> dict[str, Any]:
    """The named fields that say something."""
    return {name: record[name] for name in names if record.get(name) not in (None, "")}
