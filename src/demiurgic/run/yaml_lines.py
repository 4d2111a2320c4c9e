"""YAML 1.2 as plain values, with the line each one stands on. Knows nothing of recipes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demiurgic.core.errors import RecipeError

Place = tuple[str | int, ...]
"""Where a value stands: the keys and list positions that lead to it."""


ODD = (ValueError, TypeError, RecursionError, AttributeError, LookupError)
"""What reading raises beside YAML's own errors: a date that is none, a number of 5,000 digits, half a surrogate pair,
brackets without end, an anchor on a number, `!!bool x`."""


@dataclass(frozen=True)
class Document:
    """A YAML file as plain values, and the line (from 1) of each place in it."""

    value: Any
    lines: Mapping[Place, int]
    text: str


def read_yaml(path: Path) -> Document:
    """Read a file; raises RecipeError with the line for what is not YAML, a repeated key, or a missing file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError("there is no such file", file=str(path)) from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise RecipeError(f"is not a text file: {error}", file=str(path)) from None
    return parse_yaml(text, file=str(path))


def parse_yaml(text: str, *, file: str = "recipe") -> Document:
    """Read YAML 1.2 (`5e-6` is a number, `on` is a word); raises RecipeError with the line of a mistake."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    lines: dict[Place, int] = {(): 1}
    try:
        return Document(_plain(YAML(typ="rt").load(text), (), lines), lines, text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = " ".join(str(part).strip().split("\n")[0] for part in (error.context, error.problem) if part)
        raise RecipeError(f"not YAML: {problem}", file=file, line=line) from None
    except (YAMLError, *ODD) as error:
        raise RecipeError(f"not YAML: {str(error).splitlines()[0]}", file=file) from None


def parse_value(text: str) -> Any:
    """One YAML value, as it stands after `=` on a command line; text that is not YAML is itself."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return _plain(YAML(typ="rt").load(text), (), {})
    except (YAMLError, *ODD):
        return _plain(text, (), {})


def _plain(node: Any, place: Place, lines: dict[Place, int]) -> Any:
    match node:
        case Mapping():
            plain = {}
            for key, item in node.items():
                # A key that a merge (<<) brought in has no line of its own: its mapping's stands for it.
                where = node.lc.data.get(key) if node.lc.data else None  # type: ignore[attr-defined]
                lines[(*place, str(key))] = where[0] + 1 if where else lines.get(place, 1)
                plain[str(key)] = _plain(item, (*place, str(key)), lines)
            return plain
        case list():
            for position in range(len(node)):
                where = node.lc.data.get(position) if node.lc.data else None  # type: ignore[attr-defined]
                lines[(*place, position)] = where[0] + 1 if where else lines.get(place, 1)
            return [_plain(item, (*place, position), lines) for position, item in enumerate(node)]
        case bool() | None:
            return node
        case int():  # ruamel keeps how a number was written in subclasses of int, float and str
            return int(node)
        case float():
            return float(node)
        case str():
            node.encode()  # half a surrogate pair is a ValueError here, not a crash when it is written down
            return str(node)
        case _:
            return str(node)
