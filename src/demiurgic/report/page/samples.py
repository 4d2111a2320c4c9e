"""Rows to look at: some that stayed and some that went, duplicates beside what stayed; chosen by source and reason.

The page runs no script: buttons are radio inputs, and a style hides the rows that do not fit the checked ones.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from demiurgic.core.artifacts import Dataset, Manifest
from demiurgic.report.page.cite import card, pill, section, source
from demiurgic.report.page.evidence import Evidence, ShownStep
from demiurgic.report.page.html import NOTHING, Html, element, join
from demiurgic.report.rows.clusters import Cluster, changed_words, find_clusters, said_by
from demiurgic.report.rows.query import DROPPED, Query, ShownRow, find_rows

SCANNED = 5_000
"""Dropped rows that are looked through for examples, from the start."""
OF_EACH = 2
"""Examples of each source and reason, …"""
MOST = 60
"""… and of all together."""
KEPT = 2
"""Examples of each source that stayed, per part."""
CLUSTERS = 8
LONGEST = 700
CHOICES = 12
"""Buttons per row of them: the commonest."""
PRIVATE = "pii"
"""Rows in which this filter found something are named, and what they say is not shown, whatever became of them."""


def samples(evidence: Evidence) -> Html:
    """The section, or nothing where no step dropped rows and kept them."""
    steps = [step for step in evidence.results if step.folder and step.parts.get(DROPPED)]
    cards = [made for position, step in enumerate(steps) if (made := _card(step, f"s{position}")) is not NOTHING]
    lead = "Choose a source and a reason; every dropped row and all of its text: demiurgic show STEP --rows."
    return section("look", "Rows to look at", *cards, lead=lead) if cards else NOTHING


def _card(step: ShownStep, name: str) -> Html:
    assert step.folder is not None
    manifest = Manifest.read(step.folder)
    parts = {
        part: Dataset(step.folder / part, part, manifest) for part in step.parts if step.parts[part].kind == "dataset"
    }
    if DROPPED not in parts:
        return NOTHING
    dropped = _some(islice(find_rows({DROPPED: parts[DROPPED]}, Query()), SCANNED), each=OF_EACH, most=MOST)
    kept = [row for part in parts if part != DROPPED for row in _kept(part, parts[part])]
    clusters = find_clusters(parts, Query(), limit=CLUSTERS, members=2, scan=SCANNED)
    if not dropped and not kept:
        return NOTHING
    shown = [*dropped, *kept]
    sources = _common(row.row.source or "-" for row in shown)
    reasons = _common(row.reason or "stayed" for row in shown)
    return card(
        element("h4", step.label),
        _choosing(name, sources=sources, reasons=reasons),
        element("div", *(shown_row(row, name, sources, reasons) for row in shown), class_="look-rows"),
        element("h4", "Duplicates side by side") if clusters else None,
        [_cluster(cluster) for cluster in clusters],
        element("p", "From ", source(step, of=f"rows of its parts, of the first {SCANNED:,} dropped"), class_="source"),
        class_=f"look {name}",
    )


def _some(rows: Iterable[ShownRow], *, each: int, most: int) -> list[ShownRow]:
    counts: Counter[tuple[str, str]] = Counter()
    chosen: list[ShownRow] = []
    for row in rows:
        counts[row.row.source, row.reason] += 1
        if counts[row.row.source, row.reason] <= each and len(chosen) < most:
            chosen.append(row)
    return chosen


def _kept(part: str, dataset: Dataset) -> list[ShownRow]:
    return _some(islice(find_rows({part: dataset}, Query()), SCANNED // 10), each=KEPT, most=CHOICES)


def _common(names: Iterable[str]) -> list[str]:
    return [name for name, _ in Counter(names).most_common(CHOICES)]


def _choosing(name: str, *, sources: Sequence[str], reasons: Sequence[str]) -> Html:
    """The two rows of buttons and the style that makes them work."""
    groups = {"source": sources, "reason": reasons}
    rules = [
        f".{name}:has(#{name}-{group}-{place}:checked) .look-row:not(.{name}-{group}-{place}){{display:none}}"
        for group, names in groups.items()
        for place in range(len(names))
    ]
    rows = [_buttons(name, group, names) for group, names in groups.items()]
    return join(element("style", Html("".join(rules))), rows)


def _buttons(name: str, group: str, names: Sequence[str]) -> Html:
    every = _button(f"{name}-{group}-all", f"{name}-{group}", f"every {group}", checked=True)
    return element(
        "fieldset",
        element("legend", group),
        every,
        *(_button(f"{name}-{group}-{place}", f"{name}-{group}", label) for place, label in enumerate(names)),
        class_="look-by",
    )


def _button(id_: str, group: str, label: str, *, checked: bool = False) -> Html:
    radio = element("input", type="radio", name=group, id=id_, checked=checked)
    return element("label", radio, label, for_=id_)


def shown_row(row: ShownRow, name: str, sources: Sequence[str], reasons: Sequence[str]) -> Html:
    """One row; `name` is of its step, `sources` and `reasons` those that have a button."""
    chosen = {"source": (sources, row.row.source or "-"), "reason": (reasons, row.reason or "stayed")}
    css = [f"{name}-{group}-{names.index(value)}" for group, (names, value) in chosen.items() if value in names]
    state = pill("✕ dropped", "bad") if row.reason else pill(f"✓ {row.part}", "good")
    return element(
        "article",
        element("p", state, " ", element("code", row.row.id), " ", row.row.domain or None),
        element("p", row.reason, _evidence(row), class_="unit") if row.reason else None,
        element("pre", _text(row)),
        class_=" ".join(["look-row", *css]),
    )


def _cluster(cluster: Cluster) -> Html:
    kept = cluster.kept
    stayed = element(
        "div",
        element("p", pill("✓ stayed", "good"), " ", element("code", cluster.witness)),
        element("pre", _text(kept)) if kept else element("p", "a row of an earlier dataset", class_="unit"),
    )
    went = [element("div", _gone(member), element("pre", _marked(kept, member))) for member in cluster.members]
    count = element(
        "p", f"{cluster.num_members:,} {'row' if cluster.num_members == 1 else 'rows'} went for this one", class_="unit"
    )
    return element("div", stayed, element("div", count, *went), class_="look-pair")


def _gone(member: ShownRow) -> Html:
    similarity = member.dropped.get("similarity")
    like = "" if similarity is None else f" Jaccard {similarity:.3f}"
    return element("p", pill("✕ dropped", "bad"), " ", element("code", member.row.id), f"{like} ({member.row.source})")


def _marked(kept: ShownRow | None, member: ShownRow) -> Html:
    if kept is None:
        return join(_text(member))
    words = changed_words(_text(kept), _text(member))
    return join([element("mark", word) if changed else word for word, changed in words])


def _text(row: ShownRow) -> str:
    if _is_private(row):
        return "(not shown: personal data or secrets were found in it)"
    said = said_by(row.row)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} … ({len(said) - LONGEST:,} more characters)"


def _evidence(row: ShownRow) -> str | None:
    """What was found, in brackets; another filter than that of personal data may have quoted the row."""
    if not row.evidence or (_is_private(row) and not _went_for_privacy(row)):
        return None
    return f" ({row.evidence})"


def _is_private(row: ShownRow) -> bool:
    return PRIVATE in row.row.facts or _went_for_privacy(row)


def _went_for_privacy(row: ShownRow) -> bool:
    return row.reason.startswith(f"{PRIVATE}:")
