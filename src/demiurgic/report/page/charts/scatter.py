"""Points on two axes, y by the logarithm, each with its name, its interval and its limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from demiurgic.core.metric import Metric
from demiurgic.report.page.charts.frame import BOTTOM, TOP, axes, drawing, figure, percent, shape
from demiurgic.report.page.charts.scale import Scale
from demiurgic.report.page.html import Html, element

LABEL_HEIGHT = 15
HALF_LIMIT = 0.06
"""Of the plot's width: how far a limit reaches to both sides of its point."""


@dataclass(frozen=True)
class Dot:
    """A named point; `y` has an interval and may have a limit. A `y` of 0 is drawn on the lower edge."""

    name: str
    x: float
    y: Metric
    limit: float | None
    shown: str
    """The numbers in words."""


def log_scatter(
    dots: Sequence[Dot], *, title: str, unit: str, x_label: str, description: str, height: int = 260
) -> Html:
    """A figure: points by size (x, from 0) and divergence (y, logarithmic), each with its interval and its limit."""
    x = Scale(0.0, max(dot.x for dot in dots) * 1.15 or 1.0)
    y = Scale.over([n for dot in dots for n in (dot.y.value, dot.y.high, dot.limit or 0.0)], room=0.15, log=True)
    plot = drawing(
        axes(x, y, height=height, x_label=x_label),
        [_limit(dot, x, y, height=height) for dot in dots if dot.limit],
        [_point(dot, x, y, height=height) for dot in dots],
        _labels(dots, x, y, height=height),
        height=TOP + height + BOTTOM,
        title=title,
        description=description,
    )
    return figure(plot, title=title, unit=unit)


def _limit(dot: Dot, x: Scale, y: Scale, *, height: int) -> Html:
    left, right = (min(max(x.share(dot.x) + side, 0.0), 1.0) for side in (-HALF_LIMIT, HALF_LIMIT))
    place = _place(dot.limit or 0.0, y, height)
    said = element("title", f"{dot.name}: limit {dot.limit:g}")
    return element("line", said, x1=percent(left), x2=percent(right), y1=place, y2=place, class_="limit")


def _point(dot: Dot, x: Scale, y: Scale, *, height: int) -> list[Html]:
    at = percent(x.share(dot.x))
    ends = (_place(max(end, y.low), y, height) for end in (dot.y.low, dot.y.high))
    low, high = ends
    return [
        element("line", x1=at, x2=at, y1=low, y2=high, class_="line s0"),
        shape(0, x=at, y=_place(dot.y.value, y, height), radius=5, title=dot.shown),
    ]


def _place(value: float, y: Scale, height: int) -> float:
    return round(TOP + height * (1 - y.share(value)), 1)


def _labels(dots: Sequence[Dot], x: Scale, y: Scale, *, height: int) -> list[Html]:
    """Names beside the points; one that would cover another moves down."""
    taken: list[tuple[float, float]] = []
    drawn = []
    for dot in sorted(dots, key=lambda d: (_place(d.y.value, y, height), d.x)):
        share, place = x.share(dot.x), _place(dot.y.value, y, height) + 4
        while any(abs(place - other) < LABEL_HEIGHT and abs(share - near) < 0.3 for near, other in taken):
            place += LABEL_HEIGHT
        taken.append((share, place))
        left = share > 0.6
        drawn.append(
            element(
                "text",
                dot.name,
                x=percent(share),
                dx=-10 if left else 10,
                y=round(place, 1),
                text_anchor="end" if left else "start",
                class_="label",
            )
        )
    return drawn
