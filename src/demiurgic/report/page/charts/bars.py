"""Horizontal bars: one number beside another, and the pieces of a whole."""

from collections.abc import Sequence
from dataclasses import dataclass

from demiurgic.report.page.charts.frame import drawing, percent
from demiurgic.report.page.html import Html, element

BAR = 12
"""Pixels high."""
STACK = 22


@dataclass(frozen=True)
class Piece:
    """A named count of a whole, and the css class that colours it."""

    name: str
    count: float
    css: str


def bar(value: float, *, of: float, css: str, title: str) -> Html:
    """One bar, as long as `value` is of `of`."""
    share = value / of if of > 0 else 0.0
    body = element("rect", x="0%", y=0, width=percent(share), height=BAR, rx=2, class_=f"bar {css}")
    return drawing(body, height=BAR, title=title, description=f"{100 * share:.0f} % of the longest", class_="barline")


def stack(pieces: Sequence[Piece], *, title: str) -> Html:
    """The pieces of a whole beside one another."""
    total = sum(piece.count for piece in pieces) or 1.0
    drawn, start = [], 0.0
    for piece in pieces:
        share = piece.count / total
        said = element("title", f"{piece.name}: {piece.count:,.0f} ({100 * share:.1f} %)")
        drawn.append(
            element(
                "rect",
                said,
                x=percent(start),
                y=0,
                width=percent(share),
                height=STACK,
                class_=f"piece {piece.css}",
            )
        )
        start += share
    words = ", ".join(f"{piece.name} {piece.count:,.0f}" for piece in pieces)
    return drawing(*drawn, height=STACK, title=title, description=words, class_="stack")
