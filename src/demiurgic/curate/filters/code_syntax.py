"""Is the code in the answer code of its language? Parses it, never runs it. Code of unknown languages passes."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from demiurgic.core.metric import JSON
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.measured import measured
from demiurgic.curate.tags.domain import signs_of_code
from demiurgic.verify.python_syntax import grammar
from demiurgic.verify.syntax import LANGUAGES, SyntaxFault, language_of, syntax_fault

_FENCE = re.compile(
    r"^([ \t]*)(`{3,})[ \t]*+([\w+#.-]*+)[^\n`]*+\n(.*?)(?:^[ \t]*\2`*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_NAMED = ("programming_language", "language", "lang")
"""Keys of meta that may name the language of a row's code; the ending of its `file` does too."""
_MAY_NAME = re.compile(r'"(?:programming_language|language|lang|file)"')


def _grammars(base: Path, **options: object) -> JSON:
    """Which parsers decide: the fingerprint of the filter."""
    from importlib.metadata import PackageNotFoundError, version

    packages = sorted({language.module.replace("_", "-") for language in LANGUAGES.values() if language.module})
    found: dict[str, JSON] = {"python": grammar(base, **options)}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


@FILTERS.register("code_syntax", over="batch", needs=["tree_sitter"], fingerprint=_grammars)
def code_syntax(rows: RowBatch) -> Verdicts:
    """Drop rows whose code does not parse: Python, JavaScript, TypeScript, Go, Rust, Java, C and C++.

    Read are fenced blocks with a language, and plain texts and answers of nothing but code where meta names the
    language (`language`, `programming_language`, `lang`, or the ending of `file`). Snippets may be parts of a file.
    """
    import numpy as np
    import pyarrow.compute as pc

    found = measured(rows)
    fenced_N = found.answer["fences"] > 0
    named_N = pc.match_substring_regex(rows.column("meta"), _MAY_NAME.pattern).to_numpy(zero_copy_only=False)
    bare_N = named_N & ~fenced_N & (rows.is_text_N | (signs_of_code(found.answer) > 4))
    answers, metas = rows.answer, rows.column("meta")
    faults: dict[int, str] = {}
    for row in np.flatnonzero(fenced_N | bare_N):
        answer = answers[int(row)].as_py()
        sources = _blocks(answer) if fenced_N[row] else _bare(answer, json.loads(metas[int(row)].as_py()))
        fault = next(_faults(sources), None)
        if fault:
            faults[int(row)] = fault
    faulty_N = np.zeros(len(rows), np.bool_)
    faulty_N[list(faults)] = True
    return first_reason(len(rows), {"code does not parse": (faulty_N, faults.__getitem__)})


def _blocks(answer: str) -> Iterator[tuple[str, str, str]]:
    """Where it stands, its language and its source, of each fenced block whose language is known."""
    for number, block in enumerate(_FENCE.finditer(answer), start=1):
        language = language_of(block[3])
        if language:
            yield f"block {number}", language, textwrap.dedent(block[4])


def _bare(answer: str, facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    named = [facts.get(key) for key in _NAMED]
    if "file" in facts:
        named.append(Path(str(facts["file"])).suffix)
    language = next((known for name in named if isinstance(name, str) and name and (known := language_of(name))), None)
    if language:
        # A row that goes on where its `prefix` ends is code only behind it.
        prefix = facts.get("prefix")
        yield "the whole", language, (prefix if isinstance(prefix, str) else "") + answer


def _faults(sources: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    for where, language, source in sources:
        fault: SyntaxFault | None = syntax_fault(source, language)
        if fault:
            yield f"{where}, {LANGUAGES[language].name}, {fault}"
