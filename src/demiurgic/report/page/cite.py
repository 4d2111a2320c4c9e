"""What every section says in the same way: a state, a number with its source, a card. Knows no section."""

from collections.abc import Mapping, Sequence

from demiurgic.core.metric import Metric
from demiurgic.report.page.evidence import ShownStep, anchor
from demiurgic.report.page.html import NOTHING, Child, Html, element, join

STATES: Mapping[str, tuple[str, str]] = {
    "made": ("✓", "good"),
    "reused": ("↺", "good"),
    "rejected": ("✕", "bad"),
    "failed": ("✕", "bad"),
    "damaged": ("✕", "bad"),
    "revoked": ("✕", "bad"),
    "interrupted": ("‖", "warn"),
    "blocked": ("⊘", "warn"),
    "missing": ("○", "warn"),
}
"""State -> the sign and the colour it has beside its word."""


TINY = 1e-4
"""Below this a number is written by powers of ten: rows of zeros cannot be read."""
SEPARATED = 1000
"""From here on a number without an interval is written with separators between thousands."""


def badge(state: str) -> Html:
    """A step's state: a sign, a word and a colour."""
    sign, css = STATES[state]
    return pill(f"{sign} {state}", css)


def pill(words: str, css: str) -> Html:
    return element("span", words, class_=f"pill {css}")


def gate_pill(*, passed: bool) -> Html:
    return pill("✓ passed", "good") if passed else pill("✕ missed", "bad")


def place_of(step: ShownStep) -> str:
    """Where a step's numbers are from, in words."""
    key = f" ({step.key})" if step.key else ""
    where = f"ledger line {step.line_number}" if step.line_number else "ledger line unknown"
    return f"{step.label}{key}, {where}"


def source(step: ShownStep, *, of: str = "") -> Html:
    """A link to the step's section that says where numbers are from; `of` names the keys or the file."""
    link = element("a", step.label, href=f"#{step.anchor}", title=place_of(step))
    line = f", ledger line {step.line_number}" if step.line_number else ""
    return join(link, f" ({step.key[:8]}{line})" if step.key else None, f": {of}" if of else None)


def sources(steps: Sequence[ShownStep], *, of: str = "") -> Html:
    """The same for several steps, by name; where each stands in the ledger shows on its link."""
    links = [element("a", step.label, href=f"#{step.anchor}", title=place_of(step)) for step in steps]
    return join("From ", listed(links), f": {of}" if of else None)


def listed(items: Sequence[Child], *, by: str = ", ") -> Html:
    """Items after one another, with `by` between them."""
    return join([join(by if position else None, item) for position, item in enumerate(items)])


def metric_anchor(step: ShownStep, name: str) -> str:
    return f"{step.anchor}/{anchor(name)}"


def cited(step: ShownStep, name: str, *, stacked: bool = False, text: str = "") -> Html:
    """A metric with its interval, or `text` in its place, linked to its row in the step's section."""
    value: Child = text or figures(step.summary.metrics[name], stacked=stacked)
    title = f"{place_of(step)}: {name}"
    return element("a", value, href=f"#{metric_anchor(step, name)}", title=title, class_="number")


def cited_fact(step: ShownStep, name: str, text: str) -> Html:
    """A plain fact of a step, linked to the step's section; `name` says where in its facts it stands."""
    return element("a", text, href=f"#{step.anchor}", title=f"{place_of(step)}: {name}", class_="number")


def figures(metric: Metric, *, stacked: bool = False) -> Html:
    """A metric's value, its interval in a quieter tone; `stacked` puts the interval below."""
    text = str(metric)
    if 0 < abs(metric.value) < TINY:
        exact = metric.low == metric.high
        text = f"{metric.value:.2g}" if exact else f"{metric.value:.2g} [{metric.low:.2g}, {metric.high:.2g}]"
    value, bracket, interval = text.partition(" [")
    if not bracket and abs(metric.value) >= SEPARATED:
        value = f"{metric.value:,.0f}" if float(metric.value).is_integer() else f"{metric.value:,.1f}"
    quiet = element("span", bracket.strip() + interval, class_="interval-text") if bracket else NOTHING
    between = element("br") if stacked else " "
    return join(element("span", value, class_="value"), join(between, quiet) if bracket else None)


def section(name: str, title: str, *body: Child, lead: Child = NOTHING) -> Html:
    """One part of the page under its heading."""
    opening = element("p", lead, class_="lead") if lead is not NOTHING else None
    return element("section", element("h2", title), opening, *body, id=name)


def card(*body: Child, class_: str = "") -> Html:
    return element("div", *body, class_=f"card {class_}".strip())
