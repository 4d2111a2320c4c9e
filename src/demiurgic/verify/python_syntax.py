"""Is this text Python? By the parser of the running interpreter, and never by running it. Knows nothing of rows."""

import ast
import sys
import warnings
from pathlib import Path


def parse(source: str) -> ast.Module:
    """The syntax tree of `source`.

    Raises SyntaxError, also where the parser itself says it otherwise: null bytes and lone surrogates (ValueError),
    nesting too deep for it (RecursionError, MemoryError).
    """
    with warnings.catch_warnings():
        # Old escapes such as "\d" warn at every parse; they are the author's business.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except ValueError as error:
            raise SyntaxError(str(error)) from None
        except (RecursionError, MemoryError):
            raise SyntaxError("nested too deeply") from None


def syntax_error(source: str) -> str | None:
    """What keeps `source` from being Python (`line 3: invalid syntax`), or None."""
    try:
        parse(source)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
    return None


def parses(source: str) -> bool:
    """Whether `source` is Python; an empty text is."""
    return syntax_error(source) is None


def grammar(base: Path, **options: object) -> str:
    """Which Python decides: major and minor version. The fingerprint of what calls `parses`, for a registry."""
    del base, options
    return f"{sys.version_info.major}.{sys.version_info.minor}"
