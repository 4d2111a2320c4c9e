"""Markup out of Python: everything is escaped unless it is markup already. Knows nothing of reports."""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

VOID = frozenset({"meta", "br", "col", "input"})
FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters that HTML does not allow."""


@dataclass(frozen=True, slots=True)
class Html:
    """Finished markup."""

    text: str

    def __str__(self) -> str:
        return self.text


Child: TypeAlias = "Html | str | int | Iterable[Child] | None"
Attribute: TypeAlias = str | int | float | bool | None

NOTHING = Html("")


def escaped(text: str) -> str:
    """Text that shows as itself, between tags and in a quoted attribute."""
    whole = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be written
    return html.escape(FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", whole), quote=True)


def join(*children: Child) -> Html:
    """Markup and text after one another; None is nothing."""
    return Html("".join(_markup(child) for child in children))


def element(tag: str, *children: Child, **attributes: Attribute) -> Html:
    """One element. `class_` is `class`, `stroke_width` is `stroke-width`; None and False leave an attribute out."""
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    opening = f"<{tag}{written}>"
    return Html(opening if tag in VOID else f"{opening}{join(*children)}</{tag}>")


def _markup(child: Child) -> str:
    match child:
        case None:
            return ""
        case Html():
            return child.text
        case str():
            return escaped(child)
        case int():
            return f"{child:,}"
        case _:
            return "".join(map(_markup, child))


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {written}"
    return f' {written}="{escaped(f"{value:g}" if isinstance(value, float) else str(value))}"'


def table(header: Iterable[Child], rows: Iterable[Iterable[Child]], *, label: str, class_: str = "") -> Html:
    """A table that scrolls inside itself; the first cell of each row is its header."""
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [_row(list(row)) for row in rows]
    made = element("table", element("thead", head), element("tbody", *body), class_=class_ or None)
    return element("div", made, class_="scroll", role="region", aria_label=label, tabindex=0)


def _row(cells: list[Child]) -> Html:
    return element("tr", element("th", cells[0], scope="row"), *(element("td", cell) for cell in cells[1:]))
