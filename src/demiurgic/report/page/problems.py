"""What went wrong, first on the page: the steps that cannot be built on, with the reason."""

from demiurgic.report.page.cite import STATES, badge, listed, section, source
from demiurgic.report.page.evidence import BAD, Evidence, ShownStep
from demiurgic.report.page.html import NOTHING, Html, element

NEXT = {
    "rejected": "It keeps its files for inspection; nothing that depends on it runs.",
    "failed": "Mend the cause and run the recipe again; everything finished before is kept.",
    "interrupted": "The same run goes on from here.",
    "blocked": "It runs when what blocks it is mended.",
    "damaged": "Delete its folder and run the recipe again.",
    "missing": "Run the recipe to make it.",
    "revoked": "",
}


def problems(evidence: Evidence) -> Html:
    """The section, or nothing where all is well."""
    steps = [step for step in evidence.steps if step.state in BAD]
    if not steps and not evidence.num_torn:
        return NOTHING
    alike: dict[tuple[str, str], list[ShownStep]] = {}
    for step in sorted(steps, key=lambda step: BAD.index(step.state)):
        alike.setdefault((step.state, step.why), []).append(step)
    items = [_problem(group) for group in alike.values()]
    if evidence.num_torn:
        torn = f"{evidence.num_torn} of the ledger's lines cannot be read, and what they said is not on this page."
        items.append(element("li", element("p", torn)))
    return section("problems", "Problems", element("ul", *items, class_="problems"))


def _problem(steps: list[ShownStep]) -> Html:
    """Steps in the same state for the same reason."""
    state, why = steps[0].state, steps[0].why
    head = element("p", badge(state), " ", listed([source(step) for step in steps]))
    reason = element("p", why, class_="reason") if why else None
    next_step = element("p", NEXT[state], class_="unit") if NEXT[state] else None
    return element("li", head, reason, next_step, class_=STATES[state][1])
