"""The audit as a page to read: its numbers, and the worst rows with what is wrong with each. Measures nothing."""

import re
from collections.abc import Sequence

from demiurgic.core.metric import Summary
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.audit.judge import Judged
from demiurgic.curate.card.markdown import table

EXCERPT = 600
"""Characters of a question or answer that are shown."""


def page(summary: Summary, rows: RowBatch, judged: Judged, *, most: int) -> str:
    """The page in Markdown."""
    numbers = [(name, metric.value, metric.low, metric.high, metric.n) for name, metric in summary.metrics.items()]
    problems = summary.facts["problems"]
    languages = summary.facts["languages"]
    assert isinstance(problems, dict) and isinstance(languages, dict)
    chosen = judged.worst_first[:most]
    columns = (rows.column("id"), rows.prompt, rows.answer)
    shown = [_row(judged.problems[place], *(str(column[place]) for column in columns)) for place in chosen]
    sections = [
        "# Audit",
        table(("what", "value", "low", "high", "n"), numbers),
        "## Problems",
        table(("problem", "sampled rows"), problems.items()) if problems else "None was found.",
        *(["## Languages", table(("language", "sampled rows"), languages.items())] if languages else []),
        *(["## The worst rows", *shown] if shown else []),
    ]
    return "\n\n".join(sections) + "\n"


def _row(problems: Sequence[str], row_id: str, prompt: str, answer: str) -> str:
    asked = _quoted(prompt, "asked") if prompt else ""
    return "\n\n".join(
        part for part in (f"### {row_id}", "; ".join(problems), asked, _quoted(answer, "answered")) if part
    )


def _quoted(text: str, what: str) -> str:
    cut = text[:EXCERPT] + (f" [… {len(text) - EXCERPT:,} more characters]" if len(text) > EXCERPT else "")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", cut))])
    return f"{what}:\n\n{fence}text\n{cut}\n{fence}"
