"""Is the Python in the answer Python? Parses it and never runs it. Rows of other languages pass."""

import re
import textwrap

from demiurgic.core.records import Row
from demiurgic.curate.filters import FILTERS, KEEP, Drop, Verdict
from demiurgic.verify.python_syntax import grammar, syntax_error

FENCED = re.compile(
    r"^[ \t]*```[ \t]*(?:python3?|py)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL | re.IGNORECASE
)


@FILTERS.register("python_syntax", fingerprint=grammar)
def python_syntax(row: Row) -> Verdict:
    """Drop rows whose Python does not parse: an answer with its `prefix`, a fenced block, a .py file."""
    facts = row.facts
    if facts.get("kind") in ("write", "complete") and isinstance(facts.get("prefix"), str):
        error = syntax_error(facts["prefix"] + row.answer())
        return Drop("prefix and answer do not parse", error) if error else KEEP
    if row.text is not None and str(facts.get("file", "")).endswith(".py"):
        error = syntax_error(row.text)
        return Drop("file does not parse", error) if error else KEEP
    for number, block in enumerate(FENCED.findall(row.answer()), start=1):
        error = syntax_error(textwrap.dedent(block))
        if error:
            return Drop("a fenced block does not parse", f"block {number}, {error}")
    return KEEP
