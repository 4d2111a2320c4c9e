"""Numbers and characters that follow from a value and a salt: what surrogates are made of. Keeps no state."""

import hashlib
import string

MARK = "EXAMPLE"
"""With this begins every made-up key whose alphabet has letters: a reader sees what it is, and so does a detector."""
HEX_MARK = "decafbad"
"""The same for keys of hexadecimal digits."""
HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits


class Draw:
    """A stream that is the same for the same value, kind and salt (SHAKE-256).

    The salt is no key to keep safe values of few possibilities: who knows it can try every telephone number. It keeps
    apart what is published from what others make of the same values.
    """

    def __init__(self, value: str, *, kind: str, salt: str) -> None:
        said = "\0".join((salt, kind, value))
        self._state = hashlib.shake_256(said.encode("utf-8", "surrogatepass"))
        self._taken = 0
        self._bytes = b""

    def number(self, below: int) -> int:
        """A number of 0 to `below` - 1 (below 2^24: the remainder of 32 bits is even enough)."""
        return int.from_bytes(self._next(4)) % below

    def characters(self, alphabet: str, count: int) -> str:
        return "".join(alphabet[byte % len(alphabet)] for byte in self._next(count))

    def _next(self, count: int) -> bytes:
        stop = self._taken + count
        if stop > len(self._bytes):
            self._bytes = self._state.digest(2 * stop + 32)
        taken = self._bytes[self._taken : stop]
        self._taken = stop
        return taken


def made_up(body: str, draw: Draw, *, alphabet: str) -> str:
    """A body of a key of the same length: marked, then two digits, then drawn.

    Characters outside of the alphabet (dots, dashes, padding) stay where they are. Bodies shorter than 12 characters
    grow to 12: with less the mark would leave nothing to tell two of them apart.
    """
    body = body.ljust(12, alphabet[0])
    drawn = iter(draw.characters(alphabet, len(body)))
    like = "".join(next(drawn) if character in alphabet else character for character in body)
    if set(alphabet) <= set(HEX):
        return HEX_MARK + like[len(HEX_MARK) :]
    # 2 to 7 are the digits of every alphabet in use, that of base 32 too.
    marked = MARK + draw.characters("234567", 2)
    return marked + like[len(marked) :]


def is_marked(body: str) -> bool:
    return MARK in body.upper() or body.startswith(HEX_MARK)
