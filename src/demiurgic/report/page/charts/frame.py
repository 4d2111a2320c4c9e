"""What all charts with two axes share: the figure, its grid, its labels and its legend."""

from collections.abc import Sequence

from demiurgic.report.page.charts.scale import Scale, tick_text
from demiurgic.report.page.html import NOTHING, Child, Html, element, join

TOP = 10
"""Pixels above the plot."""
BOTTOM = 38
"""Pixels below it, for the numbers and the name of the x axis."""
NUM_SERIES = 6
"""Colours and dashes there are (style.css); further series begin again with the first."""


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def series_class(position: int) -> str:
    return f"s{position % NUM_SERIES}"


def figure(
    chart: Child, *, title: str, unit: str = "", legend: Child = NOTHING, note: Child = NOTHING, class_: str = ""
) -> Html:
    """A chart under its title, with its legend; `note` says where the numbers come from."""
    heading = element(
        "figcaption",
        element("span", title, class_="figure-title"),
        element("span", unit, class_="unit") if unit else None,
    )
    foot = element("p", note, class_="source") if note is not NOTHING else None
    return element("figure", heading, legend, chart, foot, class_=class_ or None)


def legend(names: Sequence[tuple[str, int]]) -> Html:
    """One swatch per series, drawn as the series is: not by colour alone."""
    items = [
        element(
            "li",
            element(
                "svg",
                element("line", x1=0, x2=30, y1=6, y2=6, class_=f"line {series_class(position)}"),
                shape(position, x="15", y=6.0),
                width=30,
                height=12,
                aria_hidden="true",
            ),
            name,
        )
        for name, position in names
    ]
    return element("ul", *items, class_="legend")


def shape(position: int, *, x: str, y: float, radius: float = 4, title: str = "", ring: bool = False) -> Html:
    """A mark: circle, square, diamond and so on by the series' number."""
    css = f"mark {series_class(position)}" + (" ring" if ring else "")
    told = element("title", title) if title else NOTHING
    match position % 3:
        case 0:
            return element("circle", told, cx=x, cy=y, r=radius, class_=css)
        case 1:
            turned = None
        case _:
            turned = "rotate(45)"
    side = 2 * radius
    inner = element("rect", told, x=-radius, y=-radius, width=side, height=side, transform=turned, class_=css)
    # A nested svg is what can stand at a percentage; its contents are drawn around its origin.
    return element("svg", inner, x=x, y=y, class_="at")


def axes(x: Scale, y: Scale, *, height: int, x_label: str) -> Html:
    """Grid lines with their numbers; the y numbers stand left of the plot, in the figure's margin."""
    drawn: list[Html] = []
    for value in y.ticks(5):
        place = TOP + height * (1 - y.share(value))
        drawn.append(element("line", x1="0%", x2="100%", y1=round(place, 1), y2=round(place, 1), class_="grid"))
        drawn.append(element("text", tick_text(value), x=-8, y=round(place + 4, 1), text_anchor="end", class_="tick"))
    bottom = TOP + height
    drawn.append(element("line", x1="0%", x2="100%", y1=bottom, y2=bottom, class_="axis"))
    for value in x.ticks(4):
        share = x.share(value)
        drawn.append(element("line", x1=percent(share), x2=percent(share), y1=bottom, y2=bottom + 4, class_="axis"))
        side = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
        drawn.append(
            element("text", tick_text(value), x=percent(share), y=bottom + 17, text_anchor=side, class_="tick")
        )
    drawn.append(element("text", x_label, x="100%", y=bottom + 34, text_anchor="end", class_="axis-name"))
    return join(drawn)


def drawing(*children: Child, height: float, title: str, description: str, class_: str = "plot") -> Html:
    """The svg itself, with the words that a screen reader says."""
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *children,
        class_=class_,
        width="100%",
        height=height,
        role="img",
    )
