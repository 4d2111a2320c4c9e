"""What every benchmark prints: a table, or with --json one object."""

import argparse
import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any


def options(what: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def show(title: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, **more: Any) -> None:
    """Print rows (all with the same keys), then what else there is to say."""
    if as_json:
        print(json.dumps({"title": title, "rows": rows, **more}, indent=1))
        return
    header = list(rows[0])
    cells = [header, *([_cell(row[name]) for name in header] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(title)
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for name, value in more.items():
        print(f"{name}: {_cell(value)}")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, middle and largest."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def _cell(value: Any) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
