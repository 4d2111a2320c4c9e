"""Is this text code of its language? Parsed by tree-sitter, Python by its own parser, never run. Knows nothing of rows.

What people show is seldom a whole file: a method without its class, statements without a function, `...` for what was
left out. A snippet is code if it parses as it stands, or within what its language would put around it, or with the
`...` taken out. What is cut off in the middle parses nowhere.
"""

import importlib
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from demiurgic.core.optional import require
from demiurgic.verify.python_syntax import parse

if TYPE_CHECKING:
    import tree_sitter

MOST_BYTES = 1_000_000
"""Larger sources are not parsed, but taken for code: a parser may need many times their size."""


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """Where a source first stops being code: line and column from 1 (column in characters), and what stands there."""

    line: int
    column: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what}"


@dataclass(frozen=True, slots=True)
class Language:
    """How a language is parsed: module and function of its grammar, and what snippets of it may stand in."""

    name: str
    module: str
    function: str = "language"
    around: tuple[tuple[str, str], ...] = ()


_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|script|style|div|form|\?php)\b", re.IGNORECASE)
"""How a web page begins: shown where its script was asked for, it is code of another language."""

_IN_FUNCTION = ("void f() {", "\n}")
LANGUAGES: Mapping[str, Language] = {
    "python": Language("Python", ""),
    "javascript": Language(
        "JavaScript", "tree_sitter_javascript", around=(("(", "\n)"), ("async function* f() {", "\n}"))
    ),
    "typescript": Language(
        "TypeScript", "tree_sitter_typescript", "language_typescript", (("(", "\n)"), ("class C {", "\n}"))
    ),
    "tsx": Language("TSX", "tree_sitter_typescript", "language_tsx", (("(", "\n)"),)),
    "go": Language("Go", "tree_sitter_go", around=(("package p\n", ""), ("package p\nfunc f() {", "\n}"))),
    "rust": Language("Rust", "tree_sitter_rust", around=(("fn f() {", "\n}"), ("impl S {", "\n}"))),
    "java": Language(
        "Java", "tree_sitter_java", around=(("class C {", "\n}"), (f"class C {{ {_IN_FUNCTION[0]}", "\n}}"))
    ),
    "cpp": Language("C++", "tree_sitter_cpp", around=(_IN_FUNCTION, ("class C {", "\n};"))),
}
"""The languages that are checked, by the name they have here."""

NAMES: Mapping[str, str] = {
    **{name: name for name in LANGUAGES},
    **dict.fromkeys(("py", "python3", "python2", "pycon", "ipython"), "python"),
    **dict.fromkeys(("js", "jsx", "node", "nodejs", "mjs", "cjs", "ecmascript"), "javascript"),
    **dict.fromkeys(("ts", "mts", "cts"), "typescript"),
    **dict.fromkeys(("golang",), "go"),
    **dict.fromkeys(("rs",), "rust"),
    **dict.fromkeys(("c++", "cc", "cxx", "hpp", "hxx", "c", "h", "cplusplus"), "cpp"),
}
"""What people call them: tags of fences, endings of files. C is read by the grammar of C++."""


def language_of(name: str) -> str | None:
    """The language a tag, a name or the ending of a file stands for, None where it is not checked."""
    return NAMES.get(name.strip().lower().lstrip("."))


def syntax_fault(source: str, language: str) -> SyntaxFault | None:
    """What keeps `source` from being code of a language of `LANGUAGES`, or None; an empty text is.

    Of all the ways to read it the fault is given of the one that comes furthest. Raises KeyError for a language that is
    not in `LANGUAGES`, UserError where its grammar is not installed.
    """
    if not source.strip() or len(source) > MOST_BYTES or _PAGE.match(source):
        return None
    return _python_fault(source) if language == "python" else _tree_fault(source, LANGUAGES[language])


def _python_fault(source: str) -> SyntaxFault | None:
    faults = []
    for reading in _python_readings(source):
        try:
            parse(reading)
        except SyntaxError as error:
            faults.append(SyntaxFault(error.lineno or 1, max(1, error.offset or 1), error.msg))
        else:
            return None
    return faults[0]


def _python_readings(source: str) -> Iterator[str]:
    plain = textwrap.dedent(source)
    yield plain
    if ">>>" in plain:
        # A session: what was typed, without prompts, and nothing of what was answered.
        typed = [line[4:] if line.startswith((">>> ", "... ")) else "" for line in plain.splitlines()]
        yield "\n".join(typed)
    if re.search(r"^[ \t]*[%!]", plain, re.MULTILINE):
        yield re.sub(r"^([ \t]*)[%!].*$", r"\1pass", plain, flags=re.MULTILINE)


def _tree_fault(source: str, language: Language) -> SyntaxFault | None:
    """Each reading changes no line break, so that lines stay where they are; columns move in the first line alone."""
    furthest: SyntaxFault | None = None
    for text in _without_ellipses(source):
        for before, after in (("", ""), *language.around):
            # The opening stands in the first line of the source, but where it needs lines of its own.
            fault = _first_fault(before + text + after, language)
            if fault is None:
                return None
            lines, start = before.count("\n"), len(before.rpartition("\n")[2])
            fault = SyntaxFault(
                max(1, fault.line - lines),
                max(1, fault.column - (start if fault.line == lines + 1 else 0)),
                fault.what,
            )
            if furthest is None or (fault.line, fault.column) > (furthest.line, furthest.column):
                furthest = fault
    return _within(furthest, source) if furthest else None


_ELLIPSIS = re.compile(r"(?<![\w)\].])(?:\.\.\.|…)(?![\w(\[{.])")


def _without_ellipses(source: str) -> Iterator[str]:
    yield source
    if _ELLIPSIS.search(source):
        yield _ELLIPSIS.sub(lambda found: " " * len(found[0]), source)


def _within(fault: SyntaxFault, source: str) -> SyntaxFault:
    """A fault that lies in what was put around belongs to the end of the source."""
    lines = source.rstrip().split("\n")
    if fault.line <= len(lines):
        return fault
    return SyntaxFault(len(lines), len(lines[-1]) + 1, f"{fault.what} at the end")


def _first_fault(text: str, language: Language) -> SyntaxFault | None:
    data = text.encode()
    root = _parser(language.name).parse(data).root_node
    if not root.has_error:
        return None
    node = root
    while not (node.is_missing or node.is_error):
        faulty = next((child for child in node.children if child.has_error or child.is_missing), None)
        if faulty is None:
            break
        node = faulty
    row, column = node.start_point
    line = data.split(b"\n")[row]
    at = len(line[:column].decode(errors="replace")) + 1
    if node.is_missing:
        return SyntaxFault(row + 1, at, f"{node.type} is missing")
    shown = data[node.start_byte : node.end_byte].decode(errors="replace").split("\n")[0][:30]
    return SyntaxFault(row + 1, at, f"unexpected {shown!r}")


@cache
def _parser(name: str) -> "tree_sitter.Parser":
    """One parser for each language and process: to load a grammar takes longer than to parse with it."""
    language = next(known for known in LANGUAGES.values() if known.name == name)
    require("tree_sitter", language.module)
    import tree_sitter

    grammar: Any = getattr(importlib.import_module(language.module), language.function)()
    return tree_sitter.Parser(tree_sitter.Language(grammar))
