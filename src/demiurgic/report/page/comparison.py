"""The results of evaluations: models by metrics with intervals, and each comparison beside zero, in words."""

from typing import Any

from demiurgic.report.page.charts.intervals import difference_chart
from demiurgic.report.page.cite import card, cited, cited_fact, listed, pill, section, source
from demiurgic.report.page.evidence import Evidence, ShownStep
from demiurgic.report.page.html import NOTHING, Child, Html, element, join, table
from demiurgic.report.results import TRAINING, recovery, verdict, words

SIGNS = {"better": ("▲", "good"), "worse": ("▼", "bad"), "no evidence of change": ("●", "quiet")}


def evaluations(evidence: Evidence) -> list[ShownStep]:
    """Steps whose summary is that of an evaluation of models."""
    return [step for step in evidence.results if {"models", "metrics", "compare"} <= set(step.summary.facts)]


def comparison(evidence: Evidence) -> Html:
    """The section, or nothing where no model was evaluated."""
    steps = evaluations(evidence)
    if not steps:
        return NOTHING
    lead = (
        "Brackets are 95 % intervals. A difference counts as a change only where its interval leaves zero out; "
        "where it does not, the smallest change that such a comparison finds in 4 of 5 tries is given."
    )
    return section("comparison", "Comparison", [_evaluation(step, alone=len(steps) == 1) for step in steps], lead=lead)


def comparison_words(step: ShownStep, first: str, second: str) -> Html:
    """One sentence on a compared pair: in what it is better or worse, by how much, and where no change is seen."""
    said: dict[str, list[Html]] = {}
    for metric, about in _facts(step)["metrics"].items():
        name = f"{first}_vs_{second}.{metric}"
        found = verdict(step.summary.metrics[name], better=about["better"])
        number = NOTHING if found == "no evidence of change" else join(" (", cited(step, name), ")")
        said.setdefault(found, []).append(join(words(metric), number))
    clauses = [
        join(element("strong", kind, class_=SIGNS[kind][1]), " in ", listed(said[kind]))
        for kind in SIGNS
        if kind in said
    ]
    return join(element("strong", first), " against ", element("strong", second), ": ", listed(clauses, by="; "), ".")


def _facts(step: ShownStep) -> Any:
    return step.summary.facts


def _evaluation(step: ShownStep, *, alone: bool) -> Html:
    of = "" if alone else f"{step.label}: "
    facts = _facts(step)
    pairs = [_pair(step, first, second) for first, second in facts["compare"]]
    return join(
        element("h3", f"{of}each model" if of else "Each model"),
        _models(step),
        element("p", "From ", source(step, of=f"items in clusters by {facts['cluster_by']}"), class_="source"),
        element("h3", f"{of}each comparison" if of else "Each comparison, on the same items") if pairs else None,
        element("div", *pairs, class_="cards") if pairs else None,
    )


def _models(step: ShownStep) -> Html:
    facts = _facts(step)
    training = facts.get("training", {})
    took = [fact for fact in TRAINING if any(fact in about for about in training.values())]
    header: list[Child] = ["model", *(_metric_head(name, about) for name, about in facts["metrics"].items())]
    header += [join("trained for", element("br"), TRAINING[fact][0]) for fact in took]
    rows: list[list[Child]] = []
    for model in facts["models"]:
        about = training.get(model, {})
        numbers = [cited(step, f"{model}.{metric}", stacked=True) for metric in facts["metrics"]]
        trained = [
            cited_fact(step, f"training.{model}.{fact}", format(about[fact], TRAINING[fact][1]))
            if fact in about
            else "-"
            for fact in took
        ]
        rows.append([model, *numbers, *trained])
    return table(header, rows, label=f"Models and metrics of {step.name}", class_="numbers")


def _metric_head(name: str, about: Any) -> Html:
    arrow = "↓" if about["better"] == "lower" else "↑"
    clusters = f", {about['clusters']:,} clusters" if "clusters" in about else ""
    small = element("span", f"{arrow} {about['better']} is better", element("br"), f"n = {about['items']:,}{clusters}")
    return join(words(name), element("br"), element("span", small, class_="unit"))


def _pair(step: ShownStep, first: str, second: str) -> Html:
    rows = [_difference(step, first, second, metric, about) for metric, about in _facts(step)["metrics"].items()]
    lead = recovery(step.summary, first, second)
    return card(
        element("h4", f"{first} against {second}"),
        element("p", f"{first} minus {second}; right of the line {first} is better", class_="unit"),
        element("div", *rows, class_="forest"),
        element("p", _sentence(lead), class_="share") if lead else None,
        element("p", "From ", source(step, of=f"{first}_vs_{second}.*"), class_="source"),
    )


def _sentence(text: str) -> str:
    """A clause that starts a sentence: names keep their case, so the first letter alone changes."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _difference(step: ShownStep, first: str, second: str, metric: str, about: Any) -> Html:
    pair = f"{first}_vs_{second}"
    difference = step.summary.metrics[f"{pair}.{metric}"]
    smallest = _facts(step)["minimal_detectable_difference"].get(pair, {}).get(metric) or 0.0
    said = verdict(difference, better=about["better"])
    sign, css = SIGNS[said]
    sees = f"sees ±{smallest:.2g} or more" if said == "no evidence of change" and smallest else ""
    chart = difference_chart(
        difference,
        lower_is_better=about["better"] == "lower",
        detectable=smallest,
        css=css,
        title=f"{first} minus {second} in {words(metric)}: {said}",
    )
    heading = element(
        "div",
        element("span", words(metric), class_="metric-name"),
        pill(f"{sign} {said}", css),
        class_="forest-head",
    )
    numbers = element(
        "div",
        cited(step, f"{pair}.{metric}"),
        element("span", sees, class_="unit") if sees else None,
        class_="forest-head",
    )
    return element("div", heading, chart, numbers, class_="forest-row")
