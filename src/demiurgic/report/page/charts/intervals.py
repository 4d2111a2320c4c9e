"""Dot and interval on an axis of its own: a difference beside zero, and a value beside the bounds of its gate."""

import math
from collections.abc import Sequence

from demiurgic.core.metric import Metric
from demiurgic.report.page.charts.frame import drawing, percent
from demiurgic.report.page.charts.scale import Scale, tick_text
from demiurgic.report.page.html import Html, element, join

HEIGHT = 42
MIDDLE = 13
FOOT = 39
"""Where the numbers of the axis stand."""


def difference_chart(difference: Metric, *, lower_is_better: bool, detectable: float, css: str, title: str) -> Html:
    """A difference with its interval beside zero; to the right is always better.

    The band is what the comparison cannot tell from zero: `detectable` on both sides.
    """
    sign = -1 if lower_is_better else 1
    furthest = max(abs(n) for n in (difference.low, difference.high, detectable) if math.isfinite(n))
    edge = furthest * 1.12 or 1.0  # both models the same on every item: nothing but zero to draw
    scale = Scale(-edge, edge)
    at = {name: scale.share(sign * getattr(difference, name)) for name in ("value", "low", "high")}
    band = element(
        "rect",
        x=percent(scale.share(-detectable)),
        width=percent(2 * detectable / (2 * edge)),
        y=2,
        height=MIDDLE * 2 - 4,
        class_="band",
    )
    ends = [element("text", "0", x="50%", y=FOOT, text_anchor="middle", class_="tick")]
    if furthest:
        left, right = (tick_text(float(f"{side * sign:.2g}")) for side in (-edge, edge))
        ends.append(element("text", left, x="0%", y=FOOT, class_="tick"))
        ends.append(element("text", right, x="100%", y=FOOT, text_anchor="end", class_="tick"))
    zero = element("line", x1="50%", x2="50%", y1=0, y2=MIDDLE * 2, class_="zero")
    body = join(band if detectable else None, zero, _interval(at["low"], at["high"], at["value"], css=css), *ends)
    return drawing(body, height=HEIGHT, title=title, description=f"{difference}", class_="interval")


def gate_chart(metric: Metric, *, bounds: Sequence[tuple[str, float]], passed: bool, title: str) -> Html:
    """A value with its interval beside the bounds it must keep; what they allow is shaded."""
    numbers = [metric.value, metric.low, metric.high, *(bound for _, bound in bounds)]
    scale = Scale.over(numbers, room=0.25)
    above = max((scale.share(bound) for sign, bound in bounds if ">" in sign), default=0.0)
    below = min((scale.share(bound) for sign, bound in bounds if "<" in sign), default=1.0)
    allowed = element("rect", x=percent(above), width=percent(max(below - above, 0)), y=2, height=22, class_="allowed")
    lines = [
        element("line", x1=percent(place), x2=percent(place), y1=0, y2=MIDDLE * 2, class_="bound")
        for place in (scale.share(bound) for _, bound in bounds)
    ]
    words = [
        element("text", f"{sign} {bound:g}", x=percent(scale.share(bound)), y=FOOT, text_anchor="middle", class_="tick")
        for sign, bound in bounds
    ]
    at = {name: scale.share(getattr(metric, name)) for name in ("low", "high", "value")}
    css = "good" if passed else "bad"
    body = join(allowed, *lines, _interval(at["low"], at["high"], at["value"], css=css), *words)
    return drawing(body, height=HEIGHT, title=title, description=f"{metric}", class_="interval")


def _interval(low: float, high: float, value: float, *, css: str) -> Html:
    left, right = sorted((min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)))
    return join(
        element("line", x1=percent(left), x2=percent(right), y1=MIDDLE, y2=MIDDLE, class_=f"whisker {css}"),
        element("circle", cx=percent(value), cy=MIDDLE, r=5, class_=f"dot {css}"),
    )
