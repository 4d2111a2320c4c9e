"""The student's tokens, by which the words of a service are known. A word that is not surely one of them is none.

Knows no service, but the ways in which they write tokens.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from demiurgic.models.token_bytes import from_alphabet, text_of, token_bytes
from demiurgic.providers.scores import Place, Word
from demiurgic.train.signals.agreement import Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Spelling = Literal["plain", "alphabet"]
"""How a service writes tokens: as text (` the`), or in the alphabet of a byte-level BPE (`Ġthe`)."""
BROKEN = "\ufffd"
"""What a decoder writes for bytes that are no character: which bytes they were is lost."""
NO_TEXT = b"\xff"
"""Begins what stands for a special token among bytes of text: no text in UTF-8 holds it."""
LEAST_UNUSED = 0xF5
"""It and the nine bytes after it are in no text in UTF-8 either: the digits of a special token's id."""
SPECIAL_UNIT = re.compile(NO_TEXT + rb"[\xf5-\xfe]+")
ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
"""Half characters as OpenAI's completions write them: `bytes:\\xe2\\x80`."""


class Vocabulary:
    """Every token of the student by its bytes, special tokens by name. `size` ids, those above it are padding."""

    def __init__(self, words: Sequence[bytes | None], *, special: Iterable[int], size: int) -> None:
        self.size = size
        self.words = words
        self._special = frozenset(special)
        self._id_of: dict[bytes, int | None] = {}
        for id, word in enumerate(words[:size]):
            if word is not None:  # two tokens of the same bytes: neither is sure
                self._id_of[word] = None if word in self._id_of else id

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerFast", *, size: int) -> "Vocabulary":
        special = [id for id, token in tokenizer.added_tokens_decoder.items() if token.special]
        return cls(token_bytes(tokenizer), special=special, size=size)

    def id_of(self, word: Word, *, spelling: Spelling) -> int | None:
        """The student's id of a service's word, or None. A word with an id has that, unless its text says otherwise."""
        if word.id is not None:
            return None if self.verdict(word) == "other" else word.id
        data = _bytes(word, spelling)
        return None if data is None else self._id_of.get(data)

    def unit(self, id: int) -> bytes:
        """A token as a piece of a text: its bytes, and for a special token what no text holds."""
        if id in self._special:
            return NO_TEXT + bytes(LEAST_UNUSED + int(digit) for digit in str(id))
        return self.words[id] or b""

    def unit_of(self, word: Word, *, spelling: Spelling) -> bytes | None:
        """The same of a service's word; None where its bytes are lost."""
        id = self.id_of(word, spelling=spelling)
        return _bytes(word, spelling) if id is None else self.unit(id)

    def is_long(self, id: int) -> bool:
        """Whether a token is text of several characters."""
        return len(text_of(self.words[id]) or "") > 1

    def verdict(self, word: Word) -> Verdict:
        """Whether a word with an id is the student's token of that id, as far as its bytes or its text tell."""
        assert word.id is not None
        own = self.words[word.id] if 0 <= word.id < self.size else None
        if own is None:
            return "other"
        if word.data is not None:
            return "same" if word.data == own else "other"
        own_text, text = text_of(own), word.text
        if own_text is None or not text or BROKEN in text:  # half a character is written in many ways
            return "unknown"
        # Decoders that clean up spaces write " ." as "."; the id is what counts.
        return "same" if text.strip() == own_text.strip() or from_alphabet(text) == own else "other"


def holds_text(units: bytes) -> bool:
    """Whether units are more than special tokens and white space."""
    return bool(SPECIAL_UNIT.sub(b"", units).decode(errors="replace").strip())


def spelling_of(places: Iterable[Place]) -> Spelling:
    """How a service writes its tokens, from all it wrote: where a token holds a space, they are plain."""
    texts = [word.text for place in places for word in (place.word, *place.top) if word.text is not None]
    if any(" " in text or "\n" in text for text in texts):
        return "plain"
    return "alphabet" if any("Ġ" in text or "Ċ" in text for text in texts) else "plain"


def _bytes(word: Word, spelling: Spelling) -> bytes | None:
    """The bytes that a word stands for; None where they are lost."""
    text = word.text
    if text is not None and BROKEN in text and (word.data is None or word.data == text.encode()):
        return None  # some services give the bytes of the replacement character for those they replaced
    if word.data is not None:
        return word.data
    if text is None:
        return None
    if text.startswith("bytes:") and ESCAPED.search(text):
        return _unescaped(text.removeprefix("bytes:"))
    written = from_alphabet(text) if spelling == "alphabet" else None
    return text.encode("utf-8", "surrogatepass") if written is None else written


def _unescaped(text: str) -> bytes:
    pieces = ESCAPED.split(text)  # text and two hex digits, in turn
    return b"".join(bytes([int(piece, 16)]) if place % 2 else piece.encode() for place, piece in enumerate(pieces))
