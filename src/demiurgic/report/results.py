"""The results of an evaluation on a terminal: each model with its intervals, each comparison with its verdict in words.

Knows the summary that the stage `evaluate` writes, not how it was measured.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from demiurgic.core.artifacts import Manifest
from demiurgic.core.metric import Metric, Summary

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

PLAIN_WIDTH = 80

Verdict = Literal["better", "worse", "no evidence of change"]
TRAINING = {"tokens": ("tokens", ",.0f"), "steps": ("steps", ",.0f"), "train_seconds": ("seconds", ",.1f")}
"""Facts of a training: what their columns are called, and how their numbers are written."""
STYLES: Mapping[Verdict, str] = {"better": "green", "worse": "red", "no evidence of change": "dim"}


@dataclass(frozen=True)
class Results:
    """Printable by rich at any width; `str` gives plain text of 80 columns."""

    summary: Summary

    def __str__(self) -> str:
        import io

        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=PLAIN_WIDTH, color_system=None, force_terminal=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        if "models" not in self.summary.facts:
            yield _listing(self.summary)
            return
        yield _models(self.summary, width=options.max_width)
        yield ""
        training: Any = self.summary.facts.get("training", {})
        if any(training.values()):
            yield _training(training)
            yield ""
        for pair in _facts(self.summary, "compare"):
            yield from _comparison(self.summary, *pair)
        by, about = _facts(self.summary, "cluster_by"), _facts(self.summary, "metrics")
        clusters = sorted({metric["clusters"] for metric in about.values()})
        yield f"95 % intervals from items in {_range(clusters)} clusters (by {by}), drawn whole."
        if _facts(self.summary, "compare"):
            yield "± is the smallest change that such a comparison finds in 4 of 5 tries."


def print_results(source: Manifest | Summary) -> None:
    """Print the results to stdout, as wide as the terminal, in colour where it shows any."""
    from rich.console import Console

    Console(highlight=False).print(results_table(source))


def results_table(source: Manifest | Summary) -> Results:
    """The results that a step has to show; metrics one below the other where it is no evaluation of models."""
    return Results(source.summary if isinstance(source, Manifest) else source)


def verdict(difference: Metric, *, better: str) -> Verdict:
    """What a difference (first minus second) says of the first: a change only where its interval leaves 0 out."""
    if difference.low <= 0 <= difference.high:
        return "no evidence of change"
    return "better" if (difference.value < 0) == (better == "lower") else "worse"


def recovery(summary: Summary, first: str, second: str) -> str | None:
    """What share of the teacher's lead over `second` the first recovers, in words; None where there is no teacher."""
    pair = f"{first}_vs_{second}"
    recovered = _facts(summary, "recovered_share") if summary.facts["teacher"] else {"undefined": {}}
    if f"{pair}.recovered_share" in summary.metrics:
        share, of = summary.metrics[f"{pair}.recovered_share"], words(recovered["of"])
        value, low, high = (round(100 * number) for number in (share.value, share.low, share.high))
        lead = f"of the lead in {of} that {summary.facts['teacher']} has over {second}"
        return f"recovers {value} % [{low}, {high}] {lead}"
    if pair in recovered["undefined"]:
        return f"no share of a lead: {recovered['undefined'][pair]}"
    return None


def words(metric: str) -> str:
    """A metric's name as a person reads it."""
    return metric.replace("_", " ")


def _models(summary: Summary, *, width: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    names, metrics = _facts(summary, "models"), _facts(summary, "metrics")
    cells = {(name, metric): summary.metrics[f"{name}.{metric}"] for name in names for metric in metrics}
    one_line = max(map(len, names)) + sum(2 + max(len(str(cells[n, m])) for n in names) for m in metrics) <= width
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column("")
    for metric, about in metrics.items():
        header = f"{words(metric)}\n{about['better']} is better\nn = {about['items']:,}"
        table.add_column(Text(header, style="bold"), no_wrap=True)
    for name in names:
        values = [str(cells[name, metric]) for metric in metrics]
        table.add_row(Text(name), *(Text(v if one_line else v.replace(" [", "\n[")) for v in values))
    return table


def _training(training: Mapping[str, Mapping[str, float]]) -> "Table":
    """What each model's own training took, so that equal tokens and equal seconds can be seen."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column(Text("training", style="bold"))
    for column, _ in TRAINING.values():
        table.add_column(Text(column, style="bold"), justify="right", no_wrap=True)
    for name, took in training.items():
        cells = (format(took[fact], form) if fact in took else "-" for fact, (_, form) in TRAINING.items())
        table.add_row(Text(name), *cells)
    return table


def _comparison(summary: Summary, first: str, second: str) -> "Iterator[RenderableType]":
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    pair = f"{first}_vs_{second}"
    detectable = _facts(summary, "minimal_detectable_difference")[pair]
    yield Text(f"{first} against {second}, paired (first minus second)", style="bold")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for metric, about in _facts(summary, "metrics").items():
        difference = summary.metrics[f"{pair}.{metric}"]
        said = verdict(difference, better=about["better"])
        smallest = detectable[metric]
        seen = f" (sees ±{smallest:.2g})" if said == "no evidence of change" and smallest else ""
        table.add_row(Text(f"  {words(metric)}"), Text(str(difference)), Text(said + seen, style=STYLES[said]))
    yield table
    said_of_lead = recovery(summary, first, second)
    if said_of_lead:
        yield Padding(Text(said_of_lead), (0, 0, 0, 2))
    yield ""


def _listing(summary: Summary) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for name, metric in summary.metrics.items():
        table.add_row(Text(name), Text(str(metric)), Text(f"n = {metric.n:,}" if metric.n is not None else ""))
    return table


def _facts(summary: Summary, name: str) -> Any:
    return summary.facts[name]


def _range(numbers: list[int]) -> str:
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
