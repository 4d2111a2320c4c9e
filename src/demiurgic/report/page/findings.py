"""What `demiurgic diagnose` finds in each training of the page. Knows no symptom."""

from collections.abc import Iterator, Sequence

from demiurgic.core.errors import UserError
from demiurgic.diagnose.evidence import finished
from demiurgic.diagnose.finding import Diagnosis, Finding
from demiurgic.diagnose.table import diagnose
from demiurgic.report.page.cite import pill, source
from demiurgic.report.page.evidence import ShownStep
from demiurgic.report.page.html import NOTHING, Html, element, join
from demiurgic.run.store import Store

COLOURS = {"wrong": "bad", "doubtful": "warn"}


def findings(steps: Sequence[ShownStep]) -> Html:
    """A list with the findings of each training; of one without any, on how many checks that rests."""
    items = [item for step in steps for item in _of_step(step)]
    if not items:
        return NOTHING
    return join(element("h3", "What diagnose finds"), element("ul", *items, class_="problems"))


def _of_step(step: ShownStep) -> Iterator[Html]:
    assert step.folder is not None
    try:
        diagnosis = diagnose(finished(step.folder, Store(step.folder.parent)))
    except UserError as error:  # evidence beside its log is damaged
        yield element("li", element("p", pill("not looked at", "warn"), " ", source(step)), str(error), class_="warn")
        return
    yield from [_finding(step, finding) for finding in diagnosis.findings] or [_nothing(step, diagnosis)]


def _finding(step: ShownStep, finding: Finding) -> Html:
    colour = COLOURS[finding.severity]
    return element(
        "li",
        element("p", pill(finding.severity, colour), " ", element("code", finding.symptom), " ", source(step)),
        element("p", finding.found),
        element("p", f"{finding.why}. To change: {finding.advice}.", class_="unit"),
        element("p", "From ", finding.where.replace(f"{step.folder}/", ""), class_="source"),
        class_=colour,
    )


def _nothing(step: ShownStep, diagnosis: Diagnosis) -> Html:
    num_checks = len(diagnosis.checked) + len(diagnosis.unmade)
    words = f"{len(diagnosis.checked)} of {num_checks} symptoms could be looked for."
    return element("li", element("p", pill("nothing found", "good"), " ", source(step), ". ", words), class_="good")
