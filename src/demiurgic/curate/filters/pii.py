"""Does the row hold personal data or secrets? Finds, counts, and masks or drops. Never repeats what it found."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

from demiurgic.core.errors import unknown
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, KEPT, Verdicts
from demiurgic.curate.pii.detectors import GROUPS, KINDS
from demiurgic.curate.pii.row_texts import text_columns, with_texts
from demiurgic.curate.pii.scan import Search, Seen
from demiurgic.curate.row_fields import Pattern

if TYPE_CHECKING:
    import pyarrow

Action = Literal["mask", "drop", "drop_masked", "tag", "ignore"]


def _known(name: str) -> str:
    if name not in (*KINDS, *GROUPS):
        raise ValueError(unknown("kind of personal data or secret", name, (*KINDS, *GROUPS)))
    return name


Kind = Annotated[str, AfterValidator(_known)]
REASON = "holds {}"


@FILTERS.register("pii", over="batch")
def pii(
    rows: RowBatch,
    *,
    action: Action = "mask",
    actions: dict[Kind, Action] = {},  # noqa: B006 (options are copied into a frozen model)
    allow: list[Pattern] = [],  # noqa: B006
    salt: str = "demiurgic",
) -> Verdicts:
    """Mask e-mails, phones, cards, keys and other personal data and secrets by surrogates, or drop their rows, or tag.

    `action` is for all kinds, `actions` for some (a kind, `personal` or `secrets`; a kind goes before its group):
    mask; drop the row, as it is or masked (`drop_masked`); tag it in its meta; ignore. What matches a pattern of
    `allow` as a whole stays. The same value and `salt` give the same surrogate.
    """
    action_of = _actions(action, actions)
    search = Search(
        kinds={kind for kind, chosen in action_of.items() if chosen != "ignore"},
        masked={kind for kind, chosen in action_of.items() if chosen in ("mask", "drop_masked")},
        allow=[re.compile(pattern) for pattern in allow],
        salt=salt,
    )
    found = _Found(len(rows))
    changed: dict[tuple[str, ...], pyarrow.Array] = {}
    for column in text_columns(rows.batch):
        seen = search.run(column.texts)
        for index, what in seen.items():
            found.add(int(column.row_T[index]), what.counts, place=column.place(index))
        if search.masked and seen:
            changed[column.path] = _with_masked(column.texts, seen)
    batch = with_texts(rows.batch, changed) if changed else None
    return found.verdicts(action_of, batch)


def _actions(action: Action, actions: Mapping[str, Action]) -> dict[str, Action]:
    chosen: dict[str, Action] = dict.fromkeys(KINDS, action)
    for group, kinds in GROUPS.items():
        if group in actions:
            chosen |= dict.fromkeys(kinds, actions[group])
    return chosen | {kind: one for kind, one in actions.items() if kind not in GROUPS}


def _with_masked(texts: "pyarrow.Array", seen: Mapping[int, Seen]) -> "pyarrow.Array":
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    places = sorted(seen)
    mask = np.zeros(len(texts), np.bool_)
    mask[places] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array([seen[place].text for place in places], texts.type))


class _Found:
    """What the rows of a batch hold: how many of each kind, and where."""

    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows
        self.counts: Counter[str] = Counter()
        self.places: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def add(self, row: int, counts: Mapping[str, int], *, place: str) -> None:
        self.counts.update(counts)
        for kind in counts:
            self.places[row][kind].append(place)

    def verdicts(self, action_of: Mapping[str, Action], batch: "pyarrow.RecordBatch | None") -> Verdicts:
        import numpy as np
        import pyarrow as pa

        reason_N = np.full(self.num_rows, KEPT, np.int16)
        evidence: dict[int, str] = {}
        labels: list[str | None] = [None] * self.num_rows
        dropping = [kind for kind in KINDS if action_of[kind] in ("drop", "drop_masked")]
        for row, places in self.places.items():
            labels[row] = ", ".join(kind for kind in KINDS if kind in places)
            reasons = [kind for kind in dropping if kind in places]
            if reasons:
                reason_N[row] = dropping.index(reasons[0])
                evidence[row] = "; ".join(f"{kind} in {', '.join(dict.fromkeys(places[kind]))}" for kind in reasons)
        counts = {kind: self.counts[kind] for kind in KINDS if self.counts[kind]}
        if self.places:
            counts["rows"] = len(self.places)
        return Verdicts(
            reason_N,
            tuple(REASON.format(kind) for kind in dropping),
            evidence,
            labels={"pii": pa.array(labels, pa.string())},
            rows=batch,
            counts=counts,
        )
