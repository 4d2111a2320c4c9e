"""Finds every function and class of a Python source, with its exact text. Knows nothing of rows or questions."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from demiurgic.verify.python_syntax import parse

Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
HOLDERS = (ast.stmt, ast.ExceptHandler, ast.match_case)
"""What a definition can stand in: never an expression."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, method or class. Line numbers count from 0 within `lines`; ends are exclusive."""

    name: str
    """As `__qualname__` writes it: `Loop.run.<locals>.done`."""
    line: int
    """The line of its `def` or `class` in the file, from 1."""
    is_class: bool
    lines: tuple[str, ...]
    """Decorators to last line, with the indentation of the definition itself removed."""
    body: int | None
    """Where the code begins: after the docstring if there is one. None when there is no code on lines of its own."""
    docstring: tuple[int, int] | None
    """The lines of the docstring, when they hold nothing else."""
    explanation: str
    """The docstring's text without its indentation; empty when there is none."""

    @property
    def source(self) -> str:
        return "\n".join(self.lines)


def definitions(text: str) -> Iterator[Definition]:
    r"""Every function and class of a source, nested ones too, in the order of their first lines.

    `text` has `\n` line ends. Raises SyntaxError when it is not Python.
    """
    # Not splitlines(): to the parser a form feed ends no line.
    lines = text.split("\n")
    # A stack, not recursion: a chain of a thousand `elif` is a thousand levels deep.
    waiting: list[tuple[ast.AST, str]] = [(parse(text), "")]
    while waiting:
        node, prefix = waiting.pop()
        if isinstance(node, Node):
            name = prefix + node.name
            yield _definition(node, lines, name=name)
            prefix = f"{name}." if isinstance(node, ast.ClassDef) else f"{name}.<locals>."
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, HOLDERS)]
        waiting += [(child, prefix) for child in reversed(inner)]


def _definition(node: Node, lines: list[str], *, name: str) -> Definition:
    start = _first_line(node)
    block = lines[start : node.end_lineno]
    indent = block[0][: len(block[0]) - len(block[0].lstrip())]
    documented = ast.get_docstring(node, clean=False) is not None
    docstring = _own_lines(node.body[0], lines) if documented else None
    code = node.body[1:] if documented else node.body
    body: int | None = None
    if code and _starts_line(code[0], lines) and (docstring or not documented):
        # Comments after a docstring belong to the code; blank lines to what stands before it.
        body = docstring[1] if docstring else _first_line(code[0])
        while not lines[body].strip():
            body += 1
    return Definition(
        name=name,
        line=node.lineno,
        is_class=isinstance(node, ast.ClassDef),
        lines=tuple(line.removeprefix(indent) for line in block),
        body=None if body is None else body - start,
        docstring=(docstring[0] - start, docstring[1] - start) if docstring else None,
        explanation=_explanation(node),
    )


def _first_line(statement: ast.stmt) -> int:
    """Decorators included; from 0."""
    decorators = getattr(statement, "decorator_list", [])
    return int(decorators[0].lineno if decorators else statement.lineno) - 1


def _starts_line(statement: ast.stmt, lines: list[str]) -> bool:
    return not lines[statement.lineno - 1].encode()[: statement.col_offset].strip()


def _own_lines(statement: ast.stmt, lines: list[str]) -> tuple[int, int] | None:
    """The lines of a statement that shares none of them with another one."""
    end = statement.end_lineno or statement.lineno
    after = lines[end - 1].encode()[statement.end_col_offset :].strip()
    if not _starts_line(statement, lines) or (after and not after.startswith(b"#")):
        return None
    return statement.lineno - 1, end


def _explanation(node: Node) -> str:
    text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "").strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        return ""  # an escape in the docstring names half a surrogate pair, which no file of rows can hold
    return text
