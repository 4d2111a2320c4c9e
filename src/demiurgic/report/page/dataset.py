"""What curated rows are like: lengths, domains, languages, and how each rule changed them. Knows `statistics.json`."""

import json
from collections.abc import Mapping, Sequence
from math import log2
from typing import Any

from demiurgic.curate.statistics.tally import AS_THEY_CAME, FILE
from demiurgic.report.page.charts.bars import bar
from demiurgic.report.page.charts.frame import BOTTOM, TOP, drawing, figure, percent
from demiurgic.report.page.cite import card, section, source
from demiurgic.report.page.evidence import Evidence, ShownStep
from demiurgic.report.page.html import NOTHING, Child, Html, element, join, table
from demiurgic.report.statistics import has_states

HEIGHT = 140
MOST = 12
"""Names of one bar table; the rest is one line."""
VOCABULARY_AT = 100_000
"""Words at which vocabularies of sets of different size are compared."""


def dataset(evidence: Evidence) -> Html:
    """The section, or nothing where no step left statistics of its rows."""
    found = [(step, statistics) for step in evidence.results if (statistics := read_statistics(step))]
    if not found:
        return NOTHING
    return section("dataset", "What the rows are like", [_step(step, statistics) for step, statistics in found])


def read_statistics(step: ShownStep) -> Mapping[str, Any] | None:
    """`statistics.json` of a step; None where there is none, or it was not written by this version."""
    path = step.folder / FILE if step.folder is not None else None
    if path is None or not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {"problem": f"{FILE} cannot be read"}
    return found if has_states(found) else {"problem": f"{FILE} has no states as this version writes them"}


def _step(step: ShownStep, statistics: Mapping[str, Any]) -> Html:
    if "problem" in statistics:
        return card(element("h4", step.label), element("p", statistics["problem"], class_="unit"))
    came, kept = statistics["states"][0], statistics["states"][-1]
    note = join("From ", source(step, of=FILE))
    return card(
        element("h4", step.label),
        element(
            "div",
            _lengths(came, kept, field="tokens", title="Tokens per row", note=note),
            _lengths(came, kept, field="answer_tokens", title="Tokens per answer", note=note),
            class_="charts",
        ),
        *(
            _kinds(came, kept, field=field, what=what)
            for field, what in (("domains", "domain"), ("languages", "language"))
        ),
        element("div", element("h4", "Before and after each rule"), _rules(statistics["states"]), class_="block"),
        element("p", _about(statistics), class_="unit"),
        element("p", note, class_="source"),
    )


def _lengths(came: Any, kept: Any, *, field: str, title: str, note: Html) -> Html:
    """Columns by doublings of the length: all rows pale behind those that stay."""
    all_rows, stay = _octaves(came[field]["buckets"]), _octaves(kept[field]["buckets"])
    if not all_rows:
        return NOTHING
    low, high = min(all_rows), max(all_rows)
    most = max(all_rows.values())
    width = 1 / (high - low + 1)
    drawn: list[Html] = []
    for octave in range(low, high + 1):
        start = (octave - low) * width
        span = "0" if octave < 0 else f"{2**octave:,} to {2 ** (octave + 1) - 1:,}"
        words = f"{span} tokens: {stay.get(octave, 0):,} rows of {all_rows.get(octave, 0):,}"
        for counts, css in ((all_rows, "band"), (stay, "bar time")):
            tall = HEIGHT * counts.get(octave, 0) / most
            place = {"x": percent(start + 0.05 * width), "width": percent(0.9 * width)}
            column = {"y": round(TOP + HEIGHT - tall, 1), "height": round(tall, 1)}
            drawn.append(element("rect", element("title", words), **place, **column, class_=css))
        label = "0" if octave < 0 else f"{2**octave:,}"
        drawn.append(element("text", label, x=percent(start), y=TOP + HEIGHT + 17, class_="tick"))
    base = TOP + HEIGHT
    drawn.append(element("line", x1="0%", x2="100%", y1=base, y2=base, class_="axis"))
    drawn.append(element("text", "tokens, from", x="100%", y=base + 34, text_anchor="end", class_="axis-name"))
    said = f"median {_number(kept[field]['p50'])}, 95th percentile {_number(kept[field]['p95'])} of those that stay"
    plot = drawing(*drawn, height=TOP + HEIGHT + BOTTOM, title=title, description=said)
    return figure(plot, title=title, unit=f"{said}; all that came pale behind", note=note)


def _octaves(buckets: Sequence[Sequence[float]]) -> dict[int, int]:
    """Counts by doubling: octave k holds lengths from 2^k on, -1 those of 0."""
    found: dict[int, int] = {}
    for low, _, count in buckets:
        octave = -1 if low < 1 else int(log2(low) + 1e-9)
        found[octave] = found.get(octave, 0) + int(count)
    return found


def _kinds(came: Any, kept: Any, *, field: str, what: str) -> Html:
    """Rows by domain or language, those that came and those that stay; nothing where all have the same name."""
    names = sorted(came[field], key=lambda name: (-came[field][name], name))
    if len(names) < 2:
        return NOTHING
    shown: list[tuple[str, int, int]] = [(name, came[field][name], kept[field].get(name, 0)) for name in names[:MOST]]
    if len(names) > MOST:
        rest = [sum(state[field].get(name, 0) for name in names[MOST:]) for state in (came, kept)]
        shown.append((f"{len(names) - MOST} others", rest[0], rest[1]))
    most = max(count for _, count, _ in shown)
    rows: list[list[Child]] = [
        [
            name,
            f"{before:,}",
            f"{after:,} ({100 * after / max(1, kept['rows']):.1f} %)",
            bar(after, of=most, css="time", title=f"{name}: {after:,} of {before:,} rows stay"),
        ]
        for name, before, after in shown
    ]
    made = table([what, AS_THEY_CAME, "rows that stay, share", ""], rows, label=f"Rows by {what}")
    return element("div", made, class_="block")


def _rules(states: Sequence[Any]) -> Html:
    head = [
        "after",
        "rows",
        "tokens, median",
        "entropy, bits",
        "distinct-1",
        "distinct-3",
        f"words in {VOCABULARY_AT:,}",
    ]
    rows: list[list[Child]] = [
        [
            state["after"],
            f"{state['rows']:,}",
            _number(state["tokens"]["p50"]),
            _number(state["entropy_bits"], digits=2),
            _number(state["distinct"]["1"]["share"], digits=4),
            _number(state["distinct"]["3"]["share"], digits=3),
            _number(next((at["distinct"] for at in state["vocabulary"] if at["words"] == VOCABULARY_AT), None)),
        ]
        for state in states
    ]
    return table(head, rows, label="Rows before and after each rule", class_="numbers")


def _number(value: float | None, *, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _about(statistics: Mapping[str, Any]) -> str:
    about = statistics.get("about", {})
    told = ("tokens", "entropy_bits", "distinct", "vocabulary")
    return " ".join(f"{name.partition('_')[0].capitalize()}: {about[name]}." for name in told if name in about)
