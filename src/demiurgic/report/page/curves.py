"""How trainings went: held-out loss, loss and weight by component, learning rate, and what diagnose finds in them.

Comparable runs stand over the same axes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from demiurgic.report.page.charts.lines import MAX_POINTS, Line, Point, line_chart, mean_window
from demiurgic.report.page.cite import cited, section, source, sources
from demiurgic.report.page.evidence import Evidence, ShownStep
from demiurgic.report.page.findings import findings
from demiurgic.report.page.html import NOTHING, Child, Html, element, table
from demiurgic.report.page.training_log import TrainingLog, read_training_log
from demiurgic.report.results import words
from demiurgic.train.log import LOG

TRAIN = "train"
PER_TOKEN = "nats per token"


@dataclass(frozen=True)
class _Training:
    """A step that trained, its log, and which colour and dash it has in all charts."""

    step: ShownStep
    log: TrainingLog
    position: int

    def line(self, points: Sequence[Point], **more: Any) -> Line:
        return Line(self.step.label, points, self.position, **more)


def curves(evidence: Evidence) -> Html:
    """The section, or nothing where nothing was trained."""
    steps = [step for step in evidence.results if step.stage == TRAIN and step.folder is not None]
    if not steps:
        return NOTHING
    found = [_Training(step, read_training_log(step.folder), n) for n, step in enumerate(steps) if step.folder]
    charts = [*_held_out(found), *_raw(found), *_weighted(found), *_weights(found), *_learning_rate(found)]
    broken = [element("li", source(run.step), f": {run.log.problem}") for run in found if run.log.problem]
    return section(
        "training",
        "Training",
        element("ul", *broken, class_="problems") if broken else None,
        element("div", *charts, class_="charts"),
        element("h3", "What each training came to"),
        _table(found),
        findings([run.step for run in found if run.log.total]),
        lead=f"Runs share axes where they are comparable. {_drawn(found)}",
    )


def _drawn(found: Sequence[_Training]) -> str:
    """How the lines differ from the logs behind them."""
    longest = max(len(run.log.total) for run in found)
    thin = "Thin lines are every step"
    if longest > MAX_POINTS:
        thin += f" (of long runs at most {MAX_POINTS} points, the extremes of each stretch among them)"
    strong = f"strong ones a running mean over up to {mean_window(longest)} steps"
    return f"{thin}, {strong}." if mean_window(longest) > 1 else "Lines go through every step."


def _held_out(found: Sequence[_Training]) -> Iterator[Html]:
    """One chart per held-out set and batch size: there a step means the same."""
    groups: dict[str, list[_Training]] = {}
    for run in found:
        inputs: Any = run.step.inputs
        if run.log.held_out and "held_out" in inputs:
            groups.setdefault(f"{inputs['held_out']['digest']} {run.step.config.get('batch')}", []).append(run)
    for group in groups.values():
        inputs = group[0].step.inputs
        data = inputs["held_out"]["step"]
        lines = [run.line(run.log.held_out, marked=True, best=run.log.best) for run in group]
        best = [f"{run.step.label} {run.log.best.y:.3f} at step {run.log.best.x:,.0f}" for run in group if run.log.best]
        yield line_chart(
            lines,
            title=f"Held-out loss on {data}",
            unit=f"{PER_TOKEN}; the ring marks the weights that were kept",
            description=f"Best: {', '.join(best)}.",
            note=_from(group, "lines held_out"),
        )


def _raw(found: Sequence[_Training]) -> Iterator[Html]:
    names = dict.fromkeys(name for run in found for name in run.log.raw)
    for name in names:
        runs = [run for run in found if name in run.log.raw]
        yield line_chart(
            [run.line(run.log.raw[name], averaged=True) for run in runs],
            title=f"Training loss: {words(name)}",
            unit=f"{PER_TOKEN}, raw",
            description=_ends([(run.step.label, run.log.raw[name]) for run in runs]),
            note=_from(runs, f"components.{name}.raw"),
        )


def _weighted(found: Sequence[_Training]) -> Iterator[Html]:
    """Only where there is more than the raw loss to see: several components, or a weight other than 1."""
    for run in found:
        if len(run.log.raw) < 2 and all(_range(run.log.weights[name]) == "1" for name in run.log.raw):
            continue
        parts = {f"{_range(run.log.weights[n])} × {words(n)}": points for n, points in run.log.weighted.items()}
        parts["total"] = run.log.total
        lines = [Line(name, points, position, averaged=True) for position, (name, points) in enumerate(parts.items())]
        yield line_chart(
            lines,
            title=f"What {run.step.label} was trained on",
            unit=f"{PER_TOKEN}, weighted; the total is what was differentiated",
            description=_ends(list(parts.items())),
            from_zero=True,
            note=_from([run], "components.*.weighted, total"),
        )


def _weights(found: Sequence[_Training]) -> Iterator[Html]:
    """Where a weight changes."""
    for run in found:
        weights = run.log.weights
        if all(len(set(_values(points))) == 1 for points in weights.values()):
            continue
        phases = ", ".join(f"{name} from step {first:,}" for name, first in run.log.phases.items())
        yield line_chart(
            [Line(words(name), points, position) for position, (name, points) in enumerate(weights.items())],
            title=f"Weights of {run.step.label}",
            unit=f"per optimizer step{f'; phases: {phases}' if phases else ''}",
            description=_ends([(words(name), points) for name, points in weights.items()]),
            from_zero=True,
            note=_from([run], "components.*.weight, phase"),
        )


def _values(points: Sequence[Point]) -> list[float]:
    return [point.y for point in points]


def _range(weight: Sequence[Point]) -> str:
    """A weight over a whole training: `0.9`, or `0.1 to 0.9`."""
    low, high = min(_values(weight)), max(_values(weight))
    return f"{low:g}" if low == high else f"{low:.3g} to {high:.3g}"


def _learning_rate(found: Sequence[_Training]) -> Iterator[Html]:
    runs = [run for run in found if run.log.learning_rate]
    if runs:
        yield line_chart(
            [run.line(run.log.learning_rate) for run in runs],
            title="Learning rate",
            unit="per optimizer step",
            description=_ends([(run.step.label, run.log.learning_rate) for run in runs]),
            from_zero=True,
            note=_from(runs, "learning_rate"),
        )


def _ends(curves: Sequence[tuple[str, Sequence[Point]]]) -> str:
    return ". ".join(f"{name}: from {points[0].y:.4g} to {points[-1].y:.4g}" for name, points in curves if points) + "."


def _from(runs: Sequence[_Training], keys: str) -> Html:
    return sources([run.step for run in runs], of=f"{LOG}, {keys}")


def _table(found: Sequence[_Training]) -> Html:
    """The metrics of all trainings, a column for each."""
    names = dict.fromkeys(name for run in found for name in run.step.summary.metrics)
    header: list[Child] = ["", *(element("a", run.step.label, href=f"#{run.step.anchor}") for run in found)]
    rows: list[list[Child]] = [
        [words(name), *(cited(run.step, name) if name in run.step.summary.metrics else "-" for run in found)]
        for name in names
    ]
    return table(header, rows, label="Metrics of each training", class_="numbers")
