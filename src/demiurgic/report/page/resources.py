"""What it took: seconds and peak memory of each step, side by side."""

from demiurgic.core.console import duration, size
from demiurgic.report.page.charts.bars import bar
from demiurgic.report.page.cite import badge, section
from demiurgic.report.page.evidence import Evidence, ShownStep
from demiurgic.report.page.html import NOTHING, Html, element, table


def resources(evidence: Evidence) -> Html:
    """The section, or nothing where no step was made."""
    steps = evidence.results
    if not steps:
        return NOTHING
    total = sum(step.seconds for step in steps)
    longest, largest = max(step.seconds for step in steps), max(step.peak_memory_bytes for step in steps)
    rows = [_row(step, longest=longest, largest=largest) for step in steps]
    lead = (
        f"{duration(total)} in all, at most {size(largest)} of memory. A reused step shows what making it took, in an "
        "earlier run. Memory is the resident peak of the process that ran the steps, while each of them ran: what "
        "earlier steps of the run left loaded is in it, worker processes are not."
    )
    note = "Seconds and bytes from the ledger line of each step: seconds, peak_memory_bytes."
    return section(
        "resources",
        "Time and memory",
        table(["step", "time", "peak memory", "state", "ledger line"], rows, label="Time and memory"),
        element("p", note, class_="source"),
        lead=lead,
    )


def _row(step: ShownStep, *, longest: float, largest: float) -> list[Html | str]:
    took, memory = duration(step.seconds), size(step.peak_memory_bytes)
    return [
        element("a", step.label, href=f"#{step.anchor}"),
        _measure(took, f"{step.seconds:,.3f} seconds", bar(step.seconds, of=longest, css="time", title=took)),
        _measure(
            memory,
            f"{step.peak_memory_bytes:,.0f} bytes",
            bar(step.peak_memory_bytes, of=largest, css="memory", title=memory),
        ),
        badge(step.state),
        str(step.line_number) if step.line_number else "-",
    ]


def _measure(words: str, exact: str, drawn: Html) -> Html:
    return element("div", element("span", words, class_="value", title=exact), drawn, class_="measure")
