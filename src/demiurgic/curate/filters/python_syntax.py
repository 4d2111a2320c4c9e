"""Is the Python in the answer Python? Parses it and never runs it. Rows of other languages pass. N rows."""

import json
import re
import textwrap
from typing import Any

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.answers import answers_of
from demiurgic.curate.filters import FILTERS, KEPT, Drop, Verdicts
from demiurgic.verify.python_syntax import grammar, syntax_error

FENCED = re.compile(
    r"^[ \t]*```[ \t]*(?:python3?|py)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL | re.IGNORECASE
)
CLOSED = re.compile(r"^[ \t]*```[ \t]*$", re.MULTILINE)
OPENED = r"(?i)```[ \t]*py"
"""What every fenced block of Python holds, in RE2."""


@FILTERS.register("python_syntax", fingerprint=grammar, over="batch")
def python_syntax(rows: RowBatch) -> Verdicts:
    """Drop rows whose Python does not parse: an answer with its `prefix`, a fenced block, a .py file."""
    import numpy as np
    import pyarrow.compute as pc

    answers, metas = answers_of(rows), rows.column("meta")
    fenced = pc.match_substring_regex(answers, OPENED)
    looked = pc.or_(fenced, pc.match_substring_regex(metas, r'"prefix"|\.py|\\u'))
    columns = (column.filter(looked).to_pylist() for column in (answers, metas, rows.column("text")))
    reason_N, reasons, evidence = np.full(len(rows), KEPT, np.int16), dict[str, int](), dict[int, str]()
    places = np.flatnonzero(looked.to_numpy(zero_copy_only=False)).tolist()
    for place, answer, meta, text in zip(places, *columns, strict=True):
        drop = _wrong(answer, json.loads(meta), text)
        if drop is not None:
            reason_N[place] = reasons.setdefault(drop.reason, len(reasons))
            evidence[place] = drop.evidence
    return Verdicts(reason_N, tuple(reasons), evidence)


def _wrong(answer: str, facts: dict[str, Any], text: str | None) -> Drop | None:
    if facts.get("kind") in ("write", "complete") and isinstance(facts.get("prefix"), str):
        error = syntax_error(facts["prefix"] + answer)
        return Drop("prefix and answer do not parse", error) if error else None
    if text is not None and str(facts.get("file", "")).endswith(".py"):
        error = syntax_error(text)
        return Drop("file does not parse", error) if error else None
    for number, block in enumerate(_blocks(answer), start=1):
        error = syntax_error(textwrap.dedent(block))
        if error:
            return Drop("a fenced block does not parse", f"block {number}, {error}")
    return None


def _blocks(answer: str) -> list[str]:
    """What stands in fences of Python that are closed."""
    stop = max((found.end() for found in CLOSED.finditer(answer)), default=0)
    # Behind the last fence that closes, each that opens would look for one up to the end.
    return FENCED.findall(answer, 0, stop)
