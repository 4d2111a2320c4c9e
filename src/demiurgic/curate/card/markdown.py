"""Markdown out of Python: tables and numbers. Knows nothing of data."""

from collections.abc import Iterable, Sequence


def cell(value: object) -> str:
    """A value as a table holds it: numbers with commas, nothing as a dash, no sign that would end the cell."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        case _:
            return " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers stand to the right."""
    body = [list(row) for row in rows]
    right = [any(isinstance(row[n], int | float) for row in body) for n in range(len(header))]
    lines = [
        header,
        ["---:" if aligned else "---" for aligned in right],
        *([cell(item) for item in row] for row in body),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(part: float, of: float) -> str:
    return f"{100 * part / of:.1f} %" if of else "-"


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
