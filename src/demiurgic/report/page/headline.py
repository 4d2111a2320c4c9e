"""The top of the page: which recipe, when and on what, what came out, and whether the gates let it pass."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from demiurgic.core.artifacts import Part
from demiurgic.core.console import duration, size
from demiurgic.report.page.charts.intervals import gate_chart
from demiurgic.report.page.cite import badge, card, cited, gate_pill, section, source
from demiurgic.report.page.comparison import comparison_words, evaluations
from demiurgic.report.page.evidence import BAD, Evidence, ShownRun, ShownStep, part_bytes
from demiurgic.report.page.html import NOTHING, Child, Html, element, join, table

MODELS = ("model", "adapter", "gguf")
"""Kinds of parts that can answer, alone or on a base."""
MADE_OF = ("model", "base", "adapter")
"""Config fields that name what a model is made of; a teacher, or a model to match, is none."""
MOST_NAMES = 2
"""Of steps in one state that the verdict names."""
ROLES = {"models": "measured in", "match_seconds": "matched in seconds by"}
"""How a step uses a model that it reads in that field; `FIELD of` where none is named."""


def verdict_line(evidence: Evidence) -> str:
    """One line: how many steps are in which state, and how many gates passed."""
    counts = Counter("made earlier" if _stands(step) else step.state for step in evidence.steps)
    known = ("made", "reused", "made earlier", *BAD)
    states = ", ".join(f"{counts[state]} {state}" for state in known if counts[state])
    gates = [verdict.passed for step in evidence.steps for verdict in step.verdicts]
    judged = f"{sum(gates)} of {len(gates)} gates passed" if gates else "no gate was judged"
    return f"{', '.join(run.recipe for run in evidence.runs)}: {states}; {judged}"


def headline(evidence: Evidence) -> Html:
    """The head of the page."""
    names = [run.recipe for run in evidence.runs]
    return element(
        "header",
        element("p", "Demiurgic report", class_="kicker"),
        element("h1", ", ".join(names)),
        element("p", _verdict(evidence), class_="verdict"),
        [element("p", said, class_="lede") for said in _said(evidence)],
        _figures(evidence),
    )


def outcome(evidence: Evidence) -> Html:
    """What came out, and what the gates said."""
    gates = [_gate(step, position) for step in evidence.steps for position in range(len(step.verdicts))]
    made = models_made(evidence)
    body = join(
        element("h3", "Gates") if gates else None,
        element("div", *gates, class_="cards") if gates else None,
        element("h3", "Models") if made else None,
        _models(evidence, made) if made else None,
    )
    return section("outcome", "What came out", body) if gates or made else NOTHING


def models_made(evidence: Evidence) -> list[ShownStep]:
    """Steps that made a model of another one: trained, merged, exported. Blank and fetched ones went in, not out."""
    return [step for step in evidence.results if made_of(step) and _models_of(step)]


def made_of(step: ShownStep) -> list[str]:
    """The steps whose models a step's own is made of."""
    inputs: Any = step.inputs
    return [from_["step"] for field, from_ in inputs.items() if field in MADE_OF]


def _models_of(step: ShownStep) -> dict[str, Part]:
    return {name: part for name, part in step.parts.items() if part.kind in MODELS}


def _reads(step: ShownStep) -> Iterator[tuple[str, str]]:
    inputs: Any = step.inputs
    for field, from_ in inputs.items():
        yield field, from_["key"]


def _verdict(evidence: Evidence) -> Html:
    steps, gates = evidence.steps, [v.passed for step in evidence.steps for v in step.verdicts]
    bad = [step for step in steps if step.state in BAD]
    num_earlier = sum(map(_stands, steps))
    apart = f", {num_earlier} of them in an earlier run" if num_earlier else ""
    if bad:
        done = f"✕ {len(steps) - len(bad)} of {len(steps)} steps finished{apart}"
        words, css = f"{done}; {', '.join(_by_state(bad))}", "bad"
    else:
        words, css = f"✓ All {len(steps)} steps finished{apart}", "good"
    judged = f"{sum(gates)} of {len(gates)} gates passed" if gates else "no gate was judged"
    return element("span", f"{words}; {judged}", class_=css)


def _stands(step: ShownStep) -> bool:
    """Whether it is finished, but by an earlier run than the newest."""
    return step.earlier and step.state not in BAD


def _by_state(steps: list[ShownStep]) -> Iterator[str]:
    """`score rejected`, `12 missing`: names where they are few."""
    for state in BAD:
        names = [step.label for step in steps if step.state == state]
        if names:
            yield f"{' and '.join(names) if len(names) <= MOST_NAMES else len(names)} {state}"


def _said(evidence: Evidence) -> Iterator[Html]:
    for step in evaluations(evidence):
        compare: Any = step.summary.facts["compare"]
        for first, second in compare:
            yield comparison_words(step, first, second)


def _figures(evidence: Evidence) -> Html:
    steps = evidence.results
    peak = max(steps, key=lambda step: step.peak_memory_bytes, default=None)
    seconds = sum(step.seconds for step in steps)
    wide: list[tuple[str, Child]] = [("Versions", _versions(steps))]
    changed = [override for run in evidence.runs for override in run.overrides]
    if changed:
        wide.append(("Changed for this run", ", ".join(changed)))
    alone = len(evidence.runs) == 1
    when = [_when(run, alone=alone) for run in evidence.runs]
    if not alone:
        wide.insert(0, ("Runs", when))
    items: list[tuple[str, Child]] = [
        *([("Run", when)] if alone else []),
        ("Making it took", f"{duration(seconds)} in {len(steps)} steps"),
        ("Peak memory", f"{size(peak.peak_memory_bytes)} in {peak.label}" if peak else "-"),
        ("Device", _distinct(step.took.get("device") for step in steps)),
        ("Code", _distinct(step.took.get("code") for step in steps)),
    ]
    shown = [element("div", element("dt", name), element("dd", value)) for name, value in items]
    shown += [element("div", element("dt", name), element("dd", value), class_="wide") for name, value in wide]
    return element("dl", *shown, class_="figures")


def _when(run: ShownRun, *, alone: bool) -> Html:
    first, last = (text.replace("T", " ").removesuffix("Z") for text in (run.started, run.ended))
    last = last[11:] if last[:10] == first[:10] else last
    return element("span", "" if alone else f"{run.recipe}: ", f"{first} to {last} UTC", class_="line-of")


def _distinct(values: Any) -> str:
    found = sorted({str(value) for value in values if value})
    return "; ".join(found) or "unknown"


def _versions(steps: list[ShownStep]) -> str:
    found: dict[str, set[str]] = {}
    for step in steps:
        versions: Any = step.took.get("versions") or {}
        for package, version in versions.items():
            found.setdefault(package, set()).add(str(version))
    return ", ".join(f"{package} {' and '.join(sorted(found[package]))}" for package in sorted(found)) or "unknown"


def _gate(step: ShownStep, position: int) -> Html:
    verdict = step.verdicts[position]
    name = verdict.gate.metric
    wanted = " and ".join(f"{sign} {bound:g}" for sign, bound in verdict.gate.bounds)
    on = "the value itself" if verdict.gate.on == "value" else "the bad end of the interval"
    head = element(
        "div", element("h4", f"{step.label}: {name}"), gate_pill(passed=verdict.passed), class_="forest-head"
    )
    if verdict.metric is None:
        body = element("p", "The step has no such metric, and what was not measured passes no gate.")
    else:
        title = f"{name}: wanted {wanted}, {'passed' if verdict.passed else 'missed'}"
        chart = gate_chart(verdict.metric, bounds=verdict.gate.bounds, passed=verdict.passed, title=title)
        body = join(chart, element("p", cited(step, name), f", wanted {wanted}; tests {on}"))
    return card(head, body, element("p", "From ", source(step), class_="source"))


def _models(evidence: Evidence, made: list[ShownStep]) -> Html:
    rows: list[list[Child]] = [
        [
            element("a", step.label, href=f"#{step.anchor}"),
            element("span", part.kind, element("span", f" by {step.stage}", class_="unit"), class_="value"),
            element("span", size(part_bytes(part)), class_="value"),
            badge(step.state),
            ", ".join(made_of(step)),
            _role(evidence, step) or "-",
            element("code", part.digest[:16], title=f"{step.name}.{name}: sha256 {part.digest}"),
        ]
        for step in made
        for name, part in _models_of(step).items()
    ]
    header = ("model", "kind", "size", "state", "made of", "role", "digest")
    return table(header, rows, label="Models that came out", class_="models")


def _role(evidence: Evidence, step: ShownStep) -> str:
    """What else on the page reads it: `teacher of student; measured in score`."""
    reads = [(field.split(".")[0], s.label) for s in evidence.results for field, key in _reads(s) if key == step.key]
    roles: dict[str, list[str]] = {}
    for field, reader in reads:
        if field in MADE_OF:
            continue  # the reader's own row says so
        roles.setdefault(ROLES.get(field, f"{field} of"), []).append(reader)
    return "; ".join(f"{role} {', '.join(dict.fromkeys(readers))}" for role, readers in roles.items())
