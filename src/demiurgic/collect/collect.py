"""The stage `collect`: rows of one source, each good one kept, each bad one counted and written aside.

What came in is what came out: rows, bad rows, and files that were left out, each of these with its reason.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self, TextIO, final

from pydantic import Field

from demiurgic.collect.sources import BadRow, LeftOut, SourceChoice
from demiurgic.collect.to_rows import DUPLICATE_ID
from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import UserError
from demiurgic.core.files.records import RAW_LIMIT
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.core.records import Row, RowWriter
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig

BAD_ROWS = "bad_rows.jsonl"
LEFT_OUT = "left_out.jsonl"
REASON_LIMIT = 120
LISTED = 100
"""Names that a count in the summary holds: sources may be as many as rows, such as addresses of pages."""
OTHERS = "(others)"
SHOWN = 3
"""How many bad rows the message shows; the file has all."""


class CollectConfig(StageConfig):
    source: SourceChoice
    max_bad_share: float = Field(default=0.01, ge=0, le=1)
    """Above this share of bad rows the step stops."""


class _Tally:
    """Counts what came out of a source."""

    def __init__(self) -> None:
        self.num_rows = 0
        self.answer_bytes = 0
        self.kinds: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.licenses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.first_bad: list[BadRow] = []
        self.cut_off: dict[str, int] = {}
        self.left_out: Counter[str] = Counter()

    def good(self, row: Row) -> None:
        self.num_rows += 1
        self.answer_bytes += len(row.answer().encode())
        kind = row.facts.get("kind", "unnamed") if '"kind"' in row.meta else "unnamed"  # reading meta takes time
        self.kinds[str(kind)] += 1
        self.sources[row.source or "unnamed"] += 1
        self.licenses[row.license or "unknown"] += 1

    def bad(self, row: BadRow) -> None:
        self.reasons[row.reason] += 1
        if len(self.first_bad) < SHOWN:
            self.first_bad.append(row)
        if row.rest:
            self.cut_off[row.file] = row.position

    @property
    def num_bad(self) -> int:
        return self.reasons.total()

    @property
    def bad_share(self) -> float:
        return self.num_bad / max(1, self.num_rows + self.num_bad)

    def summary(self) -> Summary:
        numbers = {"rows": self.num_rows, "bad_rows": self.num_bad, "bad_share": self.bad_share}
        numbers["answer_bytes"] = self.answer_bytes
        if self.left_out:
            numbers["left_out"] = self.left_out.total()
        counts = {"kinds": self.kinds, "sources": self.sources, "licenses": self.licenses, "bad_rows": self.reasons}
        facts: dict[str, JSON] = {name: _most(counter) for name, counter in counts.items()}
        if self.left_out:
            facts["left_out"] = _most(self.left_out)
        if self.cut_off:
            facts["cut_off"] = dict[str, JSON](sorted(self.cut_off.items()))
        return Summary({name: Metric.exact(value) for name, value in numbers.items()}, facts)


def _most(counts: Mapping[str, int]) -> dict[str, JSON]:
    """The largest counts by name, in order of name, and the sum of the others."""
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
    others = sum(counts.values()) - sum(count for _, count in listed)
    most: dict[str, JSON] = dict(sorted(listed))
    return most | ({OTHERS: others} if others else {})


def run(config: CollectConfig, out: Path, context: Context) -> Summary:
    """Bring rows in from a source: files, a folder of code, the standard library."""
    tally, seen = _Tally(), set[str]()
    with ExitStack() as stack:
        writer = stack.enter_context(RowWriter(out / "rows"))
        bad = stack.enter_context(_Lines(out / BAD_ROWS, even_empty=True))
        left_out = stack.enter_context(_Lines(out / LEFT_OUT))
        progress = stack.enter_context(context.console.progress(f"reading {config.source.name}"))
        for row in _unique(config.source(context.base), seen):
            progress.advance()
            if isinstance(row, Row):
                tally.good(row)
                writer.write(row)
            elif isinstance(row, LeftOut):
                tally.left_out[row.reason] += 1
                left_out.write({"file": row.file, "reason": row.reason})
            else:
                tally.bad(row)
                bad.write({"file": row.file, "row": row.position, "reason": row.reason, "raw": row.raw})
    _check(tally, config, out)
    for file, position in tally.cut_off.items():
        context.console.say(f"  {file} breaks off at row {position}: what follows in it is lost")
    return tally.summary()


@final
class _Lines:
    """A file of one JSON object per line; without a line it is there when `even_empty`."""

    def __init__(self, path: Path, *, even_empty: bool = False) -> None:
        self._path = path
        self._even_empty = even_empty
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if self._even_empty:
            self._open()
        return self

    def write(self, line: JSON) -> None:
        file = self._file or self._open()
        file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> TextIO:
        # A lone surrogate in a bad row becomes its JSON escape.
        self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace")
        return self._file


def _unique(rows: Iterator[Row | BadRow | LeftOut], seen: set[str]) -> Iterator[Row | BadRow | LeftOut]:
    for position, row in enumerate(rows, start=1):
        if isinstance(row, LeftOut):
            yield row
        elif isinstance(row, BadRow):
            reason = row.reason[:REASON_LIMIT].encode("utf-8", "backslashreplace").decode()
            yield replace(row, reason=reason)
        elif row.id in seen:
            raw = json.dumps(row.to_json(), ensure_ascii=False)[:RAW_LIMIT]
            yield BadRow(row.source or "unnamed", position, DUPLICATE_ID, raw)
        else:
            seen.add(row.id)
            yield row


def _check(tally: _Tally, config: CollectConfig, out: Path) -> None:
    if tally.num_rows and tally.bad_share <= config.max_bad_share:
        return
    if not tally.num_bad:
        raise UserError(f"The source {config.source.name} gave no row. Check its options: a bound may be too narrow.")
    first = "; ".join(f"{row.file}, row {row.position}: {row.reason}" for row in tally.first_bad)
    more = f" (and {tally.num_bad - SHOWN} more)" if tally.num_bad > SHOWN else ""
    total = tally.num_bad + tally.num_rows
    next_step = ", or raise max_bad_share to go on without them." if tally.num_rows else ": no good row is left."
    raise UserError(
        f"{tally.num_bad} of {total} rows ({tally.bad_share:.1%}) cannot be used, where max_bad_share allows "
        f"{config.max_bad_share:.1%}: {first}{more}. All of them stand in {out / BAD_ROWS}. Mend them{next_step}"
    )


STAGE = Stage("collect", CollectConfig, run, makes={"rows": Dataset}, needs=("pyarrow",))
