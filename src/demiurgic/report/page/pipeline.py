"""Every step of the recipe in order: its state on one line, and all that is known of it when it is opened."""

from typing import Any

from demiurgic.core.console import duration, size
from demiurgic.core.metric import JSON
from demiurgic.report.page.cite import badge, figures, gate_pill, metric_anchor, section
from demiurgic.report.page.evidence import Evidence, ShownRun, ShownStep, part_bytes
from demiurgic.report.page.html import NOTHING, Child, Html, element, join, table

MOST_ITEMS = 40
"""Of one list or mapping of facts; the manifest has them all."""


def pipeline(evidence: Evidence) -> Html:
    """The section."""
    lead = "Open a step for its numbers, inputs and config. Each cites the line of ledger.jsonl that made it."
    alone = len(evidence.runs) == 1
    return section("steps", "Steps", [_run(run, alone=alone) for run in evidence.runs], _earlier(evidence), lead=lead)


def _run(run: ShownRun, *, alone: bool) -> Html:
    heading = NOTHING if alone else element("h3", f"Recipe {run.recipe}")
    names = ("", "step", "stage", "state and gates", "time", "peak memory", "parts")
    columns = element("div", *(element("span", name) for name in names), class_="columns", aria_hidden="true")
    return join(
        heading, element("div", columns, *(_step(step, n) for n, step in enumerate(run.steps, 1)), class_="steps")
    )


def _step(step: ShownStep, position: int) -> Html:
    gates = [gate_pill(passed=verdict.passed) for verdict in step.verdicts]
    took = [duration(step.seconds), size(step.peak_memory_bytes)] if step.took else ["-", "-"]
    line = element(
        "summary",
        element("span", str(position), class_="position"),
        element("span", step.name, class_="step-name"),
        element("span", step.stage, class_="stage"),
        element("span", badge(step.state), gates, class_="states"),
        element("span", took[0], class_="took"),
        element("span", took[1], class_="took peak"),
        element("span", size(step.size_bytes) if step.parts else "-", class_="took parts"),
    )
    return element("details", line, _inside(step), id=step.anchor)


def _inside(step: ShownStep) -> Html:
    body = [
        element("p", step.why, class_="reason") if step.why else None,
        element("p", step.note, class_="unit") if step.note else None,
        _origin(step),
        _block("Gates", _gates(step)) if step.verdicts else None,
        _block("Metrics", _metrics(step)) if step.summary.metrics else None,
        _block("Parts", _parts(step)) if step.parts else None,
        _block("Reads", _inputs(step)) if step.inputs else None,
        _block("Facts", tree(dict(step.summary.facts))) if step.summary.facts else None,
        _block("Config", tree(dict(step.config))) if step.config else None,
    ]
    return element("div", *body, class_="inside")


def _block(title: str, body: Html) -> Html:
    return element("div", element("h4", title), body, class_="block")


def _origin(step: ShownStep) -> Html:
    took: Any = step.took
    versions = ", ".join(f"{name} {version}" for name, version in (took.get("versions") or {}).items())
    line = f"{step.line_number} (id {step.line})" if step.line_number else step.line
    items: list[tuple[str, Child]] = [
        ("key", element("code", step.key) if step.key else ""),
        ("ledger line", line),
        ("made", step.made.replace("T", " ").replace("Z", " UTC")),
        ("seed", str(step.seed) if step.seed is not None else ""),
        ("device", took.get("device") or ""),
        ("code", took.get("code") or ""),
        ("versions", versions),
        ("resumed", "yes, after an interruption" if took.get("resumed") else ""),
    ]
    shown = [
        element("div", element("dt", name), element("dd", value), class_="wide" if name == "versions" else None)
        for name, value in items
        if value
    ]
    return element("dl", *shown, class_="figures small")


def _gates(step: ShownStep) -> Html:
    items = [element("li", gate_pill(passed=verdict.passed), " ", str(verdict)) for verdict in step.verdicts]
    return element("ul", *items, class_="plain")


def _metrics(step: ShownStep) -> Html:
    rows: list[list[Child]] = []
    for name, metric in step.summary.metrics.items():
        in_units = size(metric.value) if name.endswith("_bytes") else ""
        in_units = duration(metric.value) if name.endswith("_seconds") else in_units
        number = join(figures(metric), element("span", f" {in_units}", class_="unit") if in_units else None)
        rows.append(
            [
                element("span", name, id=metric_anchor(step, name)),
                number,
                f"{metric.n:,}" if metric.n is not None else "-",
            ]
        )
    return table(["metric", "value", "n"], rows, label=f"Metrics of {step.name}", class_="numbers left")


def _parts(step: ShownStep) -> Html:
    rows: list[list[Child]] = [
        [name, part.kind, size(part_bytes(part)), len(part.files), element("code", part.digest[:16], title=part.digest)]
        for name, part in step.parts.items()
    ]
    return table(["part", "kind", "size", "files", "digest"], rows, label=f"Parts of {step.name}")


def _inputs(step: ShownStep) -> Html:
    inputs: Any = step.inputs
    rows: list[list[Child]] = [
        [field, f"{from_['step']}.{from_['part']}", element("code", from_["key"])] for field, from_ in inputs.items()
    ]
    return table(["field", "part", "key"], rows, label=f"What {step.name} reads")


def tree(value: JSON) -> Html:
    """Plain JSON as nested lists; long ones are cut, and say so."""
    match value:
        case dict() if value:
            shown = [
                element("div", element("dt", name), element("dd", tree(item)))
                for name, item in list(value.items())[:MOST_ITEMS]
            ]
            return element("dl", *shown, _more(len(value)), class_="tree")
        case list() if any(isinstance(item, dict | list) for item in value):
            return element("ol", *(element("li", tree(item)) for item in value[:MOST_ITEMS]), _more(len(value)))
        case list():
            more = f", and {len(value) - MOST_ITEMS:,} more in the manifest" if len(value) > MOST_ITEMS else ""
            return Html(f"{join(', '.join(map(_plain, value[:MOST_ITEMS])) or 'none')}{more}")
        case dict():
            return join("none")
        case _:
            return join(_plain(value))


def _more(count: int) -> Html | None:
    if count <= MOST_ITEMS:
        return None
    return element("div", f"and {count - MOST_ITEMS:,} more in the manifest", class_="unit")


def _plain(value: JSON) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.6g}"
        case None:
            return "none"
        case _:
            return str(value)


def _earlier(evidence: Evidence) -> Html:
    if not evidence.earlier:
        return NOTHING
    rows: list[list[Child]] = [
        [m.step, m.stage, m.made.replace("T", " ").replace("Z", " UTC"), element("code", m.key)]
        for m in evidence.earlier
    ]
    shown = table(["step", "stage", "made", "key"], rows, label="Earlier results")
    words = f"{len(rows):,} finished steps of this store that no newest run uses"
    return element("details", element("summary", words), element("div", shown, class_="inside"), class_="earlier")
