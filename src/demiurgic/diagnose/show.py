"""A diagnosis on a terminal and as JSON."""

import textwrap
from collections import defaultdict
from collections.abc import Iterator

import click

from demiurgic.core.metric import JSON
from demiurgic.diagnose.finding import Diagnosis, Finding
from demiurgic.diagnose.training import Training

WIDTH = 100
COLOURS = {"wrong": "red", "doubtful": "yellow"}
LABELS = ("found", "why", "change", "see")


def as_json(diagnosis: Diagnosis, training: Training) -> dict[str, JSON]:
    return {
        "step": training.name,
        "log": str(training.log.path),
        "steps": len(training.log.steps),
        "looks": len(training.log.looks),
        "finished": training.finished,
        "running": training.running,
        "problem": training.log.problem or None,
        "findings": [finding.to_json(step=training.name) for finding in diagnosis.findings],
        "checked": list(diagnosis.checked),
        "not_checked": {unmade.symptom: unmade.why for unmade in diagnosis.unmade},
    }


def as_text(diagnosis: Diagnosis, training: Training) -> str:
    """The findings, the worst first; then what was looked at, and what could not be."""
    return "\n".join([*_head(training), *_findings(diagnosis, training), *_checks(diagnosis, training)])


def _head(training: Training) -> Iterator[str]:
    log = training.log
    state = "finished" if training.finished else "still running" if training.running else "not finished"
    looks = f"{len(log.looks)} look{'' if len(log.looks) == 1 else 's'} at held-out windows"
    yield f"{click.style(training.name, bold=True)}  {len(log.steps):,} steps, {looks}, {state}"
    yield f"{log.path}"
    if log.problem:
        yield click.style(f"Only what stands before it was looked at: {log.problem}", fg="yellow")


def _findings(diagnosis: Diagnosis, training: Training) -> Iterator[str]:
    for finding in diagnosis.findings:
        yield ""
        yield f"{click.style(f'{finding.severity:<8}', fg=COLOURS[finding.severity], bold=True)}  {finding.symptom}"
        for label, text in zip(LABELS, (finding.found, finding.why, _advice(finding), finding.where), strict=True):
            yield textwrap.fill(
                text, WIDTH, initial_indent=f"  {label:<6}  ", subsequent_indent=" " * 10, break_on_hyphens=False
            )


def _advice(finding: Finding) -> str:
    from demiurgic.diagnose.yaml_edit import flow

    places = ", ".join(
        f"{f'{change.step}.' if change.step else ''}{change.place}: {flow(change.value)}" for change in finding.changes
    )
    return f"{finding.advice}{f' ({places})' if places else ''}"


def _checks(diagnosis: Diagnosis, training: Training) -> Iterator[str]:
    lines = f"{training.log.num_lines:,} lines of the log"
    yield ""
    found = len(diagnosis.findings)
    said = "Nothing found" if not found else f"{found} finding{'' if found == 1 else 's'}"
    yield _filled(f"{said}. Looked for on {lines}: {', '.join(diagnosis.checked) or 'nothing'}.")
    reasons: dict[str, list[str]] = defaultdict(list)
    for unmade in diagnosis.unmade:
        reasons[unmade.why].append(unmade.symptom)
    for why, symptoms in reasons.items():
        yield _filled(f"Not looked for: {', '.join(symptoms)}, since {why}.")


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)
