"""Where the rows went: kept and dropped of those that came in, each reason with its count, and whether it adds up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demiurgic.report.page.charts.bars import Piece, bar, stack
from demiurgic.report.page.cite import card, cited, listed, pill, section, source
from demiurgic.report.page.evidence import Evidence, ShownStep
from demiurgic.report.page.html import NOTHING, Child, Html, element, join, table
from demiurgic.report.results import words

CAME_IN = "rows_in"
"""The metric that counts what came into a step; without it there is nothing to hold the sum against."""
DROPPED = "dropped"
KEPT = "kept"


@dataclass(frozen=True)
class Account:
    """Where a step's rows went. `num_in` is None where nothing but what became of them says how many there were;
    `kept` is by part, `reasons` by source and reason.
    """

    num_in: float | None
    kept: Mapping[str, float]
    num_dropped: float
    reasons: Mapping[str, Mapping[str, float]]

    @property
    def adds_up(self) -> bool:
        """All that came in, where that is known, was kept or dropped, and every dropped row has a reason."""
        given = sum(count for by_reason in self.reasons.values() for count in by_reason.values())
        return self.num_in in (None, self.total) and given == self.num_dropped

    @property
    def total(self) -> float:
        return sum(self.kept.values()) + self.num_dropped


def rows_by_reason(evidence: Evidence) -> Html:
    """The section, or nothing where no step kept an account of rows."""
    found = [(step, account) for step in evidence.results if (account := account_of(step))]
    if not found:
        return NOTHING
    return section("rows", "Rows by reason", [_account(step, account) for step, account in found])


def account_of(step: ShownStep) -> Account | None:
    """The account in a step's summary, or None where it keeps none.

    Kept are the parts that the summary counts under their own names, or the metric `kept`.
    """
    counts = {name: metric.value for name, metric in step.summary.metrics.items()}
    reasons = step.summary.facts.get(DROPPED)
    if DROPPED not in counts or not isinstance(reasons, dict):
        return None
    own = {name: counts[name] for name in step.parts if name in counts and name != DROPPED}
    kept = own or ({KEPT: counts[KEPT]} if KEPT in counts else {})
    return Account(counts.get(CAME_IN), kept, counts[DROPPED], _reasons(reasons))


def _reasons(dropped: Any) -> dict[str, dict[str, float]]:
    """By source and reason; a summary that knows no sources gives reasons alone."""
    if all(isinstance(value, dict) for value in dropped.values()):
        return {str(source): dict(reasons) for source, reasons in dropped.items()}
    return {"": {str(reason): count for reason, count in dropped.items() if isinstance(count, int | float)}}


def _account(step: ShownStep, account: Account) -> Html:
    pieces = [Piece(words(name), count, f"p{n % 4}") for n, (name, count) in enumerate(account.kept.items())]
    pieces.append(Piece(DROPPED, account.num_dropped, "pdropped"))
    names = [*account.kept, DROPPED]
    terms = [
        join(cited(step, name) if name in step.summary.metrics else f"{piece.count:,.0f}", " ", piece.name)
        for name, piece in zip(names, pieces, strict=True)
    ]
    return card(
        element("div", element("h4", step.label), _check(account), class_="forest-head"),
        stack(pieces, title=f"Rows of {step.label}"),
        element("ul", *(_swatch(piece) for piece in pieces), class_="legend"),
        element("p", _came_in(step, account), " = ", listed(terms, by=" + ")),
        _table(account) if account.num_dropped else element("p", "No row was dropped.", class_="unit"),
        element("p", "From ", source(step, of=", ".join([*account.kept, DROPPED])), class_="source"),
    )


def _check(account: Account) -> Html | None:
    """Claimed only where what came in was counted apart from what became of it."""
    if not account.adds_up:
        return pill("✕ does not add up", "bad")
    return pill("✓ adds up", "good") if account.num_in is not None else None


def _came_in(step: ShownStep, account: Account) -> Html:
    if account.num_in is None:
        return join(f"{account.total:,.0f} in all")
    return join(cited(step, CAME_IN), f" {words(CAME_IN)}")


def _swatch(piece: Piece) -> Html:
    box = element(
        "svg", element("rect", width=12, height=12, class_=piece.css), width=12, height=12, aria_hidden="true"
    )
    return element("li", box, piece.name)


def _table(account: Account) -> Html:
    listed = [(source, reason, count) for source, by in account.reasons.items() for reason, count in by.items()]
    listed.sort(key=lambda item: (-item[2], item[0], item[1]))
    most = max((count for _, _, count in listed), default=1.0)
    rows: list[list[Child]] = []
    for source_name, reason, count in listed:
        drawn = bar(count, of=most, css="time", title=f"{reason}: {count:,.0f}")
        share = element("span", f" ({100 * count / (account.num_in or account.total):.2g} %)", class_="unit")
        rows.append([reason, source_name or "-", join(f"{count:,.0f}", share), drawn])
    return table(["reason", "source", "rows, share of all", ""], rows, label="Dropped rows by reason")
