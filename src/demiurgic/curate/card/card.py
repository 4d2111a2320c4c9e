"""Writes the data card. Every number in it is of the step's summary or of `statistics.json`; it measures nothing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Manifest
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON, Summary
from demiurgic.curate.card.header import header
from demiurgic.curate.card.markdown import bullets, percent, table
from demiurgic.curate.statistics.statistics import UNNAMED
from demiurgic.curate.statistics.tally import AS_THEY_CAME

CARD = "CARD.md"
MOST = 20
"""Lines of a table; what is left out is said."""
NOT_DONE: Mapping[str, str] = {
    "language": "The language of rows was not identified.",
    "quality": "The quality of rows was not scored.",
    "pii": "Personal data and secrets were not looked for.",
    "decontaminate": "Rows were not compared with evaluation sets.",
    "duplicates": "Neither copies nor near-copies were looked for.",
}
"""Rule -> what is not known where it did not run."""


def write_card(
    folder: Path, *, summary: Summary, statistics: Mapping[str, JSON], inputs: Sequence[Manifest] = ()
) -> None:
    """Write `CARD.md` into a folder.

    `statistics` is what `Tally.write` returned; `inputs` are the manifests of the data that came in. The rules that
    ran, which decide what the card says is not known, are those of the statistics.
    """
    write_text(folder / CARD, card(summary, statistics, inputs) + "\n")


def card(summary: Summary, statistics: Any, inputs: Sequence[Manifest]) -> str:
    """The card's text."""
    kept = statistics["states"][-1]
    parts = {name: part["rows"] for name, part in statistics["parts"].items() if part["rows"]}
    yaml = header(
        num_rows=kept["rows"], licenses=kept["licenses"], languages=kept["languages"], unnamed=UNNAMED, parts=parts
    )
    sections = (
        ("", _opening(statistics, inputs)),
        ("Sources", _sources(statistics)),
        ("What each rule took", _rules(summary, statistics)),
        ("Parts", _parts(statistics)),
        ("What the rows are about", _kinds(kept)),
        ("Words", _words(statistics)),
        ("Duplicates", _duplicates(summary)),
        ("Found in the rows", _counts(summary)),
        ("Known gaps", _gaps(summary, statistics)),
    )
    blocks = [f"## {title}\n\n{body}" if title else body for title, body in sections if body]
    return "\n\n".join([yaml, *blocks])


def _opening(statistics: Any, inputs: Sequence[Manifest]) -> str:
    came, kept = statistics["states"][0]["rows"], statistics["states"][-1]["rows"]
    made_of = ", ".join(f"{manifest.step} (stage {manifest.stage}, key {manifest.key})" for manifest in inputs)
    lines = [
        f"# {' + '.join(manifest.step for manifest in inputs) or 'Rows'}, curated",
        f"{kept:,} rows kept of {came:,} that came in ({percent(kept, came)}). "
        "Each other row is in the part `dropped`, with its reason and evidence in its `meta`.",
    ]
    return "\n\n".join([*lines, *([f"Made from: {made_of}."] if made_of else [])])


def _sources(statistics: Any) -> str:
    rows = [
        (
            name, ", ".join(found[AS_THEY_CAME]["licenses"]), found[AS_THEY_CAME]["rows"], found["kept"]["rows"],
            percent(found["kept"]["rows"], found[AS_THEY_CAME]["rows"]),
        )
        for name, found in statistics["sources"].items()
    ]  # fmt: skip
    rows.sort(key=lambda row: (-row[2], row[0]))
    return table(("source", "licence", "rows in", "rows kept", "share kept"), rows)


def _rules(summary: Summary, statistics: Any) -> str:
    states = statistics["states"]
    after = [
        (
            state["after"], state["rows"], states[n - 1]["rows"] - state["rows"] if n else 0,
            _whole(state["tokens"]["p50"]), state["entropy_bits"], state["distinct"]["1"]["share"],
            state["distinct"]["3"]["share"],
        )
        for n, state in enumerate(states)
    ]  # fmt: skip
    head = ("after", "rows", "dropped by it", "tokens, median", "entropy, bits", "distinct-1", "distinct-3")
    silent = [rule for rule in statistics["rules"] if rule not in {state["after"] for state in states}]
    told = f"Ran and dropped nothing: {', '.join(silent)}." if silent else ""
    return "\n\n".join(text for text in (table(head, after), told, _reasons(summary)) if text)


def _reasons(summary: Summary) -> str:
    dropped: Any = summary.facts.get("dropped") or {}
    rows = [(reason, source, count) for source, by in dropped.items() for reason, count in by.items()]
    rows.sort(key=lambda row: (-row[2], row[0], row[1]))
    if not rows:
        return ""
    more = len(rows) - MOST
    left = f"\n\n{more} more, of {sum(row[2] for row in rows[MOST:]):,} rows, are in `accounting.json`."
    return table(("reason", "source", "rows"), rows[:MOST]) + (left if more > 0 else "")


def _parts(statistics: Any) -> str:
    rows = [
        (
            name, part["rows"], part["bytes"], part["tokens"]["total"], _whole(part["tokens"]["p50"]),
            _whole(part["tokens"]["p95"]), _whole(part["answer_tokens"]["p50"]),
        )
        for name, part in statistics["parts"].items()
    ]  # fmt: skip
    head = ("part", "rows", "bytes of text", "tokens", "median per row", "95th percentile", "median per answer")
    return f"{table(head, rows)}\n\nTokens: {statistics['about']['tokens']}."


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _kinds(kept: Any) -> str:
    return "\n\n".join(
        table((what, "rows", "share"), [*_most(kept[field], of=kept["rows"])])
        for what, field in (("domain", "domains"), ("language", "languages"), ("licence", "licenses"))
        if set(kept[field]) - {UNNAMED}
    )


def _most(counts: Mapping[str, int], *, of: int) -> Iterator[tuple[str, int, str]]:
    named = list(counts.items())
    yield from ((name, count, percent(count, of)) for name, count in named[:MOST])
    if len(named) > MOST:
        rest = sum(count for _, count in named[MOST:])
        yield f"{len(named) - MOST} others", rest, percent(rest, of)


def _words(statistics: Any) -> str:
    came, kept = statistics["states"][0], statistics["states"][-1]
    before = {point["words"]: point["distinct"] for point in came["vocabulary"]}
    rows = [(point["words"], before.get(point["words"]), point["distinct"]) for point in kept["vocabulary"]]
    head = ("words drawn", "distinct, as they came", "distinct, kept")
    about = statistics["about"]
    return f"{table(head, rows)}\n\nVocabulary: {about['vocabulary']}. Entropy: {about['entropy_bits']}."


def _duplicates(summary: Summary) -> str:
    """What the search measured of itself, and which sources repeat which."""
    measured = [
        (name.partition(".")[2], metric.value, metric.low, metric.high, metric.n)
        for name, metric in summary.metrics.items()
        if name.startswith("duplicates.")
    ]
    facts: Any = summary.facts.get("duplicates") or {}
    between = [(pair["gone"], pair["kept"], pair["rows"]) for pair in facts.get("between_sources", [])[:MOST]]
    tables = [
        table(("what the run measured of itself", "value", "low", "high", "n"), measured) if measured else "",
        table(("rows dropped of", "in favour of", "rows"), between) if between else "",
    ]
    return "\n\n".join(text for text in tables if text)


def _counts(summary: Summary) -> str:
    """What filters counted beside the rows they dropped: personal data by kind, benchmarks by name."""
    tables = []
    for name, head in (("counts", "times"), ("tagged", "rows that stay with this in their meta")):
        nested: Any = summary.facts.get(name) or {}
        rows = [(rule, what, number) for rule, found in nested.items() for what, number in found.items()]
        rows.sort(key=lambda row: (-row[2], row[0], row[1]))
        if rows:
            tables.append(table(("rule or source", "what", head), rows))
    return "\n\n".join(tables)


def _gaps(summary: Summary, statistics: Any) -> str:
    kept = statistics["states"][-1]
    ran = set(statistics["rules"])
    said = [text for rule, text in NOT_DONE.items() if rule not in ran]
    searched: Any = summary.facts.get("duplicates") or {}
    if "duplicates" in ran and not searched.get("passes"):
        said.append("Rows that say nearly the same were not looked for.")
    for field, what in (("domains", "domain"), ("languages", "language"), ("licenses", "licence")):
        missing = kept[field].get(UNNAMED, 0)
        if missing:
            said.append(f"{missing:,} rows ({percent(missing, kept['rows'])}) name no {what}.")
    if not kept["rows"]:
        said.append("No row was kept.")
    said.append(
        "Counts of tokens, distinct words and n-grams are estimates; `statistics.json` states the errors of the latter."
    )
    return bullets(said)
