"""Curves over optimizer steps: thin lines for every number, strong ones for running means, marks for single looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from demiurgic.report.page.charts.frame import (
    BOTTOM,
    NUM_SERIES,
    TOP,
    axes,
    drawing,
    figure,
    legend,
    percent,
    series_class,
    shape,
)
from demiurgic.report.page.charts.scale import Scale
from demiurgic.report.page.html import NOTHING, Child, Html, element

MAX_POINTS = 400
"""Of one line. A screen has no more room, and a page should be mailable."""
UNITS = 1000
"""The side of the square in which lines are drawn before they are stretched to the plot."""
MEAN_OF = 25
"""A running mean is over this share of a line: a 25th."""


class Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """A named curve. `position` chooses colour, dash and mark; `marked` draws a mark on each point.

    `best` is the point to draw a ring around; `averaged` draws the points thin and their running mean strong.
    """

    name: str
    points: Sequence[Point]
    position: int
    marked: bool = False
    averaged: bool = False
    best: Point | None = None


def thinned(points: Sequence[Point], *, limit: int = MAX_POINTS) -> list[Point]:
    """At most `limit` of the points, in order: first, last, and the lowest and highest of each of equal stretches."""
    if len(points) <= limit:
        return list(points)
    inner, stretches = points[1:-1], (limit - 2) // 2
    kept = [points[0]]
    for number in range(stretches):
        start, end = number * len(inner) // stretches, (number + 1) * len(inner) // stretches
        stretch = range(start, end)
        lowest = min(stretch, key=lambda i: inner[i].y)
        highest = max(stretch, key=lambda i: inner[i].y)
        kept += [inner[i] for i in sorted({lowest, highest})]
    return [*kept, points[-1]]


def running_mean(points: Sequence[Point], *, over: int) -> list[Point]:
    """The mean of each point with its neighbours, `over` points in all; fewer, but as many on both sides, at the ends.

    The sides stay equal so that a falling curve is not shifted.
    """
    sums = [0.0]
    for point in points:
        sums.append(sums[-1] + point.y)
    means = []
    for position, point in enumerate(points):
        side = min(over // 2, position, len(points) - 1 - position)
        start, end = position - side, position + side + 1
        means.append(Point(point.x, (sums[end] - sums[start]) / (end - start)))
    return means


def mean_window(num_points: int) -> int:
    """Over how many points a line of that many is averaged; 1 is not at all."""
    return max(1, num_points // MEAN_OF) | 1


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    unit: str,
    description: str,
    x_label: str = "optimizer step",
    height: int = 200,
    from_zero: bool = False,
    note: Child = NOTHING,
) -> Html:
    """A figure with all lines over one pair of axes."""
    x = Scale.over((point.x for line in lines for point in line.points), room=0)
    values = [point.y for line in lines for point in line.points]
    y = Scale.over([*values, 0.0] if from_zero else values)
    y = Scale(0.0, y.high) if from_zero else y
    plot = drawing(
        axes(x, y, height=height, x_label=x_label),
        [_curves(line, x, y, height=height) for line in lines],
        [_marks(line, x, y, height=height) for line in lines],
        height=TOP + height + BOTTOM,
        title=title,
        description=description,
    )
    names = legend([(line.name, line.position) for line in lines])
    return figure(plot, title=title, unit=unit, legend=names, note=note)


def _curves(line: Line, x: Scale, y: Scale, *, height: int) -> Html:
    drawn = []
    over = mean_window(len(line.points))
    if line.averaged and over > 1:
        drawn.append(_polyline(thinned(line.points), x, y, css=f"line faint {_colour(line)}"))
        strong = thinned(running_mean(line.points, over=over), limit=MAX_POINTS // 2)
    else:
        strong = thinned(line.points)
    drawn.append(_polyline(strong, x, y, css=f"line {series_class(line.position)}"))
    return element(
        "svg",
        *drawn,
        x="0",
        y=TOP,
        width="100%",
        height=height,
        viewBox=f"0 0 {UNITS} {UNITS}",
        preserveAspectRatio="none",
    )


def _colour(line: Line) -> str:
    """The colour without the dash: a thin line is never dashed."""
    return f"c{line.position % NUM_SERIES}"


def _polyline(points: Sequence[Point], x: Scale, y: Scale, *, css: str) -> Html:
    placed = " ".join(f"{UNITS * x.share(p.x):.4g},{UNITS * (1 - y.share(p.y)):.4g}" for p in points)
    return element("polyline", points=placed, class_=css, vector_effect="non-scaling-stroke")


def _marks(line: Line, x: Scale, y: Scale, *, height: int) -> list[Html]:
    points = thinned(line.points) if line.marked else []
    drawn = [
        _mark(line, point, x, y, height=height, said=f"{line.name}, step {point.x:,.0f}: {point.y:.4g}")
        for point in points
    ]
    if line.best is not None:
        said = f"{line.name}: best at step {line.best.x:,.0f}: {line.best.y:.4g}"
        drawn.append(_mark(line, line.best, x, y, height=height, said=said, ring=True))
    return drawn


def _mark(line: Line, point: Point, x: Scale, y: Scale, *, height: int, said: str, ring: bool = False) -> Html:
    place = round(TOP + height * (1 - y.share(point.y)), 1)
    radius = 7.5 if ring else 3
    return shape(line.position, x=percent(x.share(point.x)), y=place, radius=radius, title=said, ring=ring)
