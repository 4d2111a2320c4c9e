"""What bytes the tokens of a byte-level BPE stand for. Knows ids and bytes, no text and no model."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@cache
def byte_alphabet() -> dict[str, int]:
    """The byte of each of the 256 characters that byte-level BPE writes tokens in (GPT-2, `bytes_to_unicode`).

    Bytes that are printable in Latin-1 are themselves; the others are U+0100 and up, in their order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def from_alphabet(token: str) -> bytes | None:
    """The bytes of a token as the vocabulary writes it (`Ġthe`); None for one that is not written in the alphabet."""
    alphabet = byte_alphabet()
    return bytes(alphabet[character] for character in token) if all(c in alphabet for c in token) else None


def token_bytes(tokenizer: "PreTrainedTokenizerFast") -> list[bytes | None]:
    """The bytes of each id of the vocabulary; of an added token the text it stands for.

    None for an id without a token, and for one that is not written in the alphabet.
    """
    added = tokenizer.added_tokens_decoder
    vocabulary = tokenizer.get_vocab()
    words: list[bytes | None] = [None] * max(len(tokenizer), 1 + max(vocabulary.values()))
    for token, id in vocabulary.items():
        words[id] = str(added[id]).encode() if id in added else from_alphabet(token)
    return words


def text_of(data: bytes | None) -> str | None:
    """The text of a token; None for half a character, and for an id without a token."""
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None
