"""Recognises what git leaves in place of a large file where git-lfs did not fetch it. Knows nothing of models."""

from pathlib import Path

from demiurgic.core.errors import UserError

POINTER = b"version https://git-lfs.github.com/"


def refuse_pointer(path: Path) -> None:
    """Raises UserError when a file holds the name of its content in place of the content."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise UserError(
                f"{path} is a git-lfs pointer: the name of the file's content, not the content. Run `git lfs pull` in "
                "the clone it comes from, and fetch again."
            )
