"""Which word of a service stands for which token of the student: the same bytes at the same place of the same text.

Knows bytes alone. Where a service cuts a text otherwise than the student's tokenizer, the tokens it cuts through get
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Alignment:
    """By the number of the student's token, that of the word which is exactly this token.

    `lost` are tokens whose word has lost its bytes (half a character, written as U+FFFD), known from what is around it.
    """

    word: dict[int, int] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)


def align(
    words: Sequence[bytes | None], tokens: Sequence[bytes], *, start: int = 0, end: int | None = None
) -> Alignment:
    """Lay words beside the tokens of a text, the first word at its byte `start`, the last one before `end`.

    A word that is None has lost its bytes. Lost words stand for as many tokens, where what follows them follows those
    tokens in the text. From the first word that says something else than the text nothing is aligned: all after it was
    said of another text.
    """
    borders = [0, *accumulate(map(len, tokens))]
    text = b"".join(tokens)
    token_at = {border: number for number, border in enumerate(borders[:-1]) if tokens[number]}
    found, place = Alignment(), start
    lost: list[int] = []
    for number, word in enumerate([*words, b""]):
        if word is None:
            lost.append(number)
            continue
        if lost:
            first = token_at.get(place)
            if first is None or first + len(lost) > len(tokens):
                return found
            place = borders[first + len(lost)]
            if not text.startswith(word, place) or (number == len(words) and place != (end or len(text))):
                return found
            found.word.update(zip(range(first, first + len(lost)), lost, strict=True))
            found.lost.update(range(first, first + len(lost)))
            lost = []
        if not text.startswith(word, place):
            return found
        token = token_at.get(place)
        if token is not None and borders[token + 1] == place + len(word):
            found.word[token] = number
        place += len(word)
    return found
