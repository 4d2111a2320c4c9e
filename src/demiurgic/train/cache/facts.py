"""`cache.json`: what a cache holds and whose word it is. Written last: a folder that has it is whole."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.hashing import digest_of
from demiurgic.core.metric import JSON
from demiurgic.models.head import LogitRule
from demiurgic.train.cache.keep import Keep, KeepHidden, KeepSamples, KeepTopK
from demiurgic.train.cache.layout import Array, arrays_of

FACTS = "cache.json"
INDEX = "windows.bin"
HEAD = "head.safetensors"
FORMAT = 1
"""Raise it when the same bytes are to be read otherwise."""


@dataclass(frozen=True)
class CacheFacts:
    keep: KeepHidden | KeepTopK | KeepSamples
    num_windows: int
    num_tokens: int
    vocab_size: int
    """Of the windows' tokenizer; the teacher's distribution is over these ids."""
    tokens_digest: str
    """Of the part `tokens` it was made for."""
    teacher: Mapping[str, str]
    """`name`, `digest` and, where it is known, `tokenizer_digest`."""
    precision: str | None
    """In which the teacher ran; None for one that ran elsewhere."""
    width: int | None = None
    """Of hidden states."""
    rule: LogitRule | None = None
    """Of the head that reads them."""

    @property
    def arrays(self) -> tuple[Array, ...]:
        return arrays_of(self.keep, vocab_size=self.vocab_size, width=self.width)

    @property
    def whole_files(self) -> tuple[str, ...]:
        """Small ones, which are read and checked as a whole."""
        return (INDEX, HEAD) if isinstance(self.keep, KeepHidden) else (INDEX,)

    def write(self, folder: Path, *, digests: Mapping[str, str]) -> None:
        """`digests` are those of the whole files."""
        content: dict[str, JSON] = {
            "format": FORMAT,
            **{name: getattr(self, name) for name in _PLAIN},
            "keep": self.keep.model_dump(mode="json"),
            "teacher": dict(self.teacher),
            "rule": None if self.rule is None else asdict(self.rule),
            "arrays": {array.file: {"dtype": array.dtype, "row": list(array.shape)} for array in self.arrays},
            "digests": dict(digests),
        }
        write_text(folder / FACTS, json.dumps({**content, "checksum": digest_of(content)}, indent=1))


_PLAIN = ("num_windows", "num_tokens", "vocab_size", "tokens_digest", "precision", "width")


def read_facts(folder: Path) -> tuple[CacheFacts, Mapping[str, str]]:
    """The facts of a folder, and the digests of its whole files.

    Raises UserError when it holds no cache, a damaged one, or one of a format that this version does not read.
    """
    path = folder / FACTS
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        checksum = content.pop("checksum")
        if checksum != digest_of(content):
            raise ValueError("its checksum is another")
    except FileNotFoundError:
        raise UserError(
            f"{folder} is no cache of a teacher: it has no {FACTS}. Point to a cache_logits step."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"cannot be read ({error})") from None
    if content["format"] != FORMAT:
        raise UserError(f"{path} has the format {content['format']}; this version reads {FORMAT}. Make the cache anew.")
    try:
        keep: KeepHidden | KeepTopK | KeepSamples = TypeAdapter(Keep).validate_python(content["keep"])
    except ValidationError as error:
        raise damaged(path, f"cannot be read ({error.errors()[0]['msg']})") from None
    rule = None if content["rule"] is None else LogitRule(**content["rule"])
    facts = CacheFacts(keep, teacher=content["teacher"], rule=rule, **{name: content[name] for name in _PLAIN})
    return facts, content["digests"]


def damaged(path: Path, what: str) -> UserError:
    """The error for a file that is not what was written."""
    return UserError(f"{path} {what}: the cache is damaged. Delete the step's folder and make it again.")
