"""A shape on a terminal: its parameters, and the memory it asks for."""

from collections.abc import Mapping
from typing import Any

from demiurgic.core.console import size


def print_shape(described: Mapping[str, Any]) -> None:
    """Print what `models.shapes.describe` says."""
    print(f"{described['name']}: {described['description']}\n")
    shape = {name: value for name, value in described["shape"].items() if value is not None}
    for name, value in shape.items():
        print(f"  {name:<14} {_plain(value)}")
    print("\nParameters")
    for part, count in described["parameters"].items():
        print(f"  {part:<14} {count:>17,}")
    print(f"\nMemory to train, one sequence of {described['training']['length']:,} tokens at a time")
    _print_uses(described["training"]["memory_bytes"])
    print(f"\nMemory to answer, a conversation of {described['inference']['context']:,} tokens")
    _print_uses(described["inference"]["memory_bytes"])


def _print_uses(uses: Mapping[str, Mapping[str, int]]) -> None:
    for use, parts in uses.items():
        shown = " + ".join(f"{part} {size(amount)}" for part, amount in parts.items() if part != "total")
        print(f"  {use:<14} {size(parts['total']):>10}   {shown}")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
