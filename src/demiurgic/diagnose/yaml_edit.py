"""Sets values in a YAML text and leaves every other character as it stands. Knows nothing of recipes.

ruamel's round trip keeps comments and order, and lays flow mappings out anew; here its marks say where a value begins
and ends, and only that is replaced.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from demiurgic.core.metric import JSON


def set_value(text: str, place: Sequence[str | int], value: JSON) -> str | None:
    """The text with one value set, in flow style; a last key that is missing is added to its mapping.

    None where the way to the place is not written out in the text (an alias, a merge, a word for a mapping).
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    node: Any = YAML().compose(text)
    for depth, name in enumerate(place):
        last = depth == len(place) - 1
        if isinstance(node, MappingNode):
            found = next((item for key, item in node.value if key.value == str(name)), None)
            if found is None:
                return _added(text, node, str(name), value) if last and node.value else None
            node = found
        elif isinstance(node, SequenceNode) and isinstance(name, int) and name < len(node.value):
            node = node.value[name]
        else:
            return None
    return _replaced(text, node, value)


def _replaced(text: str, node: Any, value: JSON) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    if getattr(node, "flow_style", None) is False and text[start:end].strip():
        # the mark of a block stands where the next thing begins: its own lines end before that
        end = start + len(_without_trailing_comments(text[start:end]))
        return f"{text[:start]}{flow(value)}{text[end:]}"
    before = " " if start and text[start - 1] == ":" else ""
    return f"{text[:start]}{before}{flow(value)}{text[end:]}"


def _without_trailing_comments(block: str) -> str:
    lines = block.splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return "".join(lines).rstrip()


def _added(text: str, mapping: Any, name: str, value: JSON) -> str:
    """A new key: last in braces, else on a line of its own below the first key, or above it where its value is long."""
    entry = f"{name}: {flow(value)}"
    if mapping.flow_style:
        end = mapping.value[-1][1].end_mark.index
        return f"{text[:end]}, {entry}{text[end:]}"
    keys = [key.start_mark for key, _ in mapping.value]
    mark = keys[1] if len(keys) > 1 else keys[0]
    return f"{text[: mark.index]}{entry}\n{' ' * keys[0].column}{text[mark.index :]}"


def flow(value: JSON) -> str:
    """A value as it stands in a recipe: `5.0e-06`, `{use: forward_kl, weight: 0.5}`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case str():
            return (
                value
                if value.replace("_", "").replace("-", "").isalnum() and not _reads_otherwise(value)
                else repr(value)
            )
        case Mapping():
            return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
        case _:
            return "[" + ", ".join(map(flow, value)) + "]"


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.1f}"
    digits = repr(value)
    if "e" not in digits:
        return digits
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent)}"


def _reads_otherwise(word: str) -> bool:
    from demiurgic.run.yaml_lines import parse_value

    return bool(parse_value(word) != word)
