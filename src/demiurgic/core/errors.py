"""What goes wrong because of a person's input. Everything else keeps its traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake a person can mend: what was found, what was wanted, and the next step to take."""


class RecipeError(UserError):
    """A mistake in a recipe, with the file and line it stands on."""

    def __init__(self, message: str, *, file: str = "recipe", line: int | None = None) -> None:
        self.message = message
        self.file = file
        self.line = line
        where = f"{file}:{line}" if line is not None else file
        super().__init__(f"{where}: {message}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `' Did you mean "x"?'` for the closest known name, or an empty string when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """One sentence for an unknown name: the nearest one, and all that exist."""
    names = sorted(known)
    return f'There is no {what} "{name}".{nearest(name, names)} Known: {", ".join(names) or "none"}.'


def place_of(location: Iterable[int | str]) -> tuple[int | str, ...]:
    """Where in what a person wrote an error of pydantic stands, without the names of pydantic's own machinery."""
    own = ("function-", "list[", "lax-", "json-")
    return tuple(part for part in location if not str(part).startswith(own))
