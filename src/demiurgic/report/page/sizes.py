"""Size against divergence: what each smaller form of a model costs in KL, and the limits it must keep."""

from demiurgic.core.console import size
from demiurgic.report.page.charts.scatter import Dot, log_scatter
from demiurgic.report.page.cite import cited, gate_pill, section, sources
from demiurgic.report.page.evidence import Evidence, ShownStep
from demiurgic.report.page.html import NOTHING, Child, Html, element, table
from demiurgic.report.results import words

DIVERGENCES = ("kl_to_source", "kl")
"""Metrics that say how far a step's result is from what it was made of, in nats per token."""
BITS = "bits_per_weight"
FILE_BYTES = "file_bytes"
SHOWN = (BITS, FILE_BYTES, "source_bytes", "top1", "kl_share_of_effect", "effect_kl")
"""What else of such steps stands in the table, where one of them has it."""


def sizes(evidence: Evidence) -> Html:
    """The section, or nothing where no step says how far its result is from its source."""
    steps = [step for step in evidence.results if divergence(step)]
    if not steps:
        return NOTHING
    sized = [step for step in steps if x_metric([step])]
    lead = "KL divergence from the source, in nats per token: 0 is the same model. Lower and further left is better."
    return section(
        "sizes",
        "Size against KL",
        _chart(sized) if sized else None,
        _table(steps),
        element("p", sources(steps), class_="source"),
        lead=lead,
    )


def divergence(step: ShownStep) -> str | None:
    """The name of the metric that says how far the result is from its source."""
    return next((name for name in DIVERGENCES if name in step.summary.metrics), None)


def x_metric(steps: list[ShownStep]) -> str | None:
    """What all the steps say of their size: bits per weight, or else bytes."""
    return next((name for name in (BITS, FILE_BYTES) if all(name in s.summary.metrics for s in steps)), None)


def _chart(steps: list[ShownStep]) -> Html:
    by = x_metric(steps) or FILE_BYTES
    scale, unit = (1.0, "bits per weight") if by == BITS else (1e-6, "MB")
    dots = []
    for step in (step for step in steps if by in step.summary.metrics):
        kl = step.summary.metrics[divergence(step) or ""]
        x, limit = step.summary.metrics[by].value * scale, limit_of(step)
        kept = f", limit {limit:g}" if limit is not None else ""
        dots.append(Dot(step.label, x, kl, limit, f"{step.label}: {x:.4g} {unit}, KL {kl}{kept}"))
    return log_scatter(
        dots,
        title="Size against KL to the source",
        unit="nats per token, by the logarithm; dashed: what each must stay below",
        x_label="bits per weight" if by == BITS else "file size, MB",
        description="; ".join(dot.shown for dot in dots),
    )


def limit_of(step: ShownStep) -> float | None:
    """The tightest upper bound on the divergence: of its gates, and of the limit that the step says it kept."""
    limits = [
        bound
        for verdict in step.verdicts
        if verdict.gate.metric == divergence(step)
        for sign, bound in verdict.gate.bounds
        if "<" in sign
    ]
    own = step.summary.facts.get("limit")
    if isinstance(own, int | float):
        limits.append(float(own))
    return min(limits, default=None)


def _table(steps: list[ShownStep]) -> Html:
    columns = [name for name in SHOWN if any(name in step.summary.metrics for step in steps)]
    header: list[Child] = ["step", "KL", "limit", *(words(name.removesuffix("_bytes")) for name in columns), "gates"]
    rows: list[list[Child]] = []
    for step in steps:
        cells: list[Child] = [element("a", step.label, href=f"#{step.anchor}"), cited(step, divergence(step) or "")]
        limit = limit_of(step)
        cells.append(f"{limit:g}" if limit is not None else "-")
        cells += [_cell(step, name) for name in columns]
        cells.append([gate_pill(passed=verdict.passed) for verdict in step.verdicts] or "-")
        rows.append(cells)
    return table(header, rows, label="Sizes and divergences", class_="numbers")


def _cell(step: ShownStep, name: str) -> Child:
    if name not in step.summary.metrics:
        return "-"
    if name.endswith("_bytes"):
        return cited(step, name, text=size(step.summary.metrics[name].value))
    return cited(step, name)
