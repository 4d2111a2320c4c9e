"""Whether a GGUF's tokenizer gives the ids of the one it was made from. Knows no weights.

llama.cpp has its own tokenizers, chosen by a name in the file. A wrong name loads without a word and splits digits,
scripts or blanks in other places, so ids are compared on texts made to show it.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.stops import CONTROL_BY_TEXT
from demiurgic.models.probes import TEXTS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SHOWN_CHARACTERS = 60

HARD_TEXTS = (
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n (normal) 3 33 333 3333 33333 333333 33.33 3..3 3...3",
    "I'VE i'Ve I’ve they'LL we'd 'twas ''' `` don''t o'clock I'M she'S",
    "x=1;y+=2**3//4%5&6|7^8~9<<10>>11!=12==13<=14>=15->16:=17",
    "https://example.org/a_b-c?d=e%20f&g=[1]#h user.name+tag@example.co.uk /usr/local/bin C:\\Temp\\new",
    "ÀÉÎÕÜ àéîõü ĀĒĪŌŪ ß ſ ﬁ Ω→∞ ≤≥≠ ½ ² ₃ Ⅳ ① № ™ © €£¥ §¶ «quoted» „so“",
    "Быстрая лиса. Γρήγορη αλεπού. السلام عليكم ١٢٣ שלום עולם नमस्ते १२३ สวัสดี ၁၂၃ ქართული հայերեն",
    "中文，没有空格。「引号」！日本語、カタカナｶﾀｶﾅ　全角　ＡＢＣ１２３ 한국어 띄어쓰기 ㄱㄴㄷ",
    "🙂🙃😀👍🏽👩‍💻🏳️‍🌈 a🚀b 1️⃣2️⃣ ❤️ ☎ ✓ ♥",
    "\u00a0non-breaking\u2003em\u3000wide\u200bzero\u2028line\u0085next\ufeffmark\r\r\n\n\r",
    "a\x00b\x01c\x1b[31mred\x1b[0m\x7f",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ________________ ---------------- ................ ################",
    " a", "  a", "   a", "a ", "a  ", "\ta", "\n a", " \n", "a\n", "0", " 0", "é", " é", "",
)  # fmt: skip
"""Contractions, digits, operators, scripts, combined emoji, every kind of blank: where pre-tokenizers differ."""

_ALPHABETS = (
    "abcdefgh ABCDEFGH", "0123456789", " \t\n\r  ", "'’`\"«».,;:!?", "+-*/=<>()[]{}_#@$%^&|~\\", "àéîõüßøñçÅ",
    "абвгдАБВГД", "αβγδΑΒΓΔ", "אבגדה", "ابتثج", "कखगघङ", "กขคงจ", "中文字符学习", "ひらがなカタカナ", "한국어글자",
    "🙂🚀👍❤☎✓", "\u00a0\u2003\u3000\u200b\u200d\u0301",
)  # fmt: skip
NUM_MIXTURES = 200


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """How many texts were compared, and how many of them gave other ids; `first` shows the first of those."""

    texts: int
    mismatches: int
    first: str | None


def compare_tokens(llama: Llama, tokenizer: "PreTrainedTokenizerFast") -> TokenCheck:
    """Compare ids on code, prose, scripts, emoji, blanks, mixtures of them, and every special token.

    Each text is read in three ways: special tokens as what they are, as plain characters, and with what the tokenizer
    puts around a whole text. A tokenizer that normalizes (Qwen: to NFC) gives its ids for normalized text, which is
    what both are compared on; llama.cpp does not normalize.
    """
    texts = [_normalized(text, tokenizer) for text in all_texts(tokenizer)]
    plain = _plain_reader(tokenizer)
    wrong = [text for text in texts if _ids_of_source(text, tokenizer, plain) != _ids_of_file(text, llama)]
    return TokenCheck(len(texts), len(wrong), _shown(wrong[0], llama, tokenizer, plain) if wrong else None)


def all_texts(tokenizer: "PreTrainedTokenizerFast") -> list[str]:
    """What tokenizers are compared on."""
    special = [str(token) for _, token in sorted(tokenizer.added_tokens_decoder.items())]
    around = [text for token in special for text in (token, f"a{token}b", f" {token} \n{token}{token}")]
    return [*TEXTS, *HARD_TEXTS, *mixtures(), *around, "".join(special)]


def mixtures(count: int = NUM_MIXTURES) -> list[str]:
    """Random runs of characters of different kinds, the same ones every time."""
    draw = random.Random(0)
    return [
        "".join(
            "".join(draw.choices(draw.choice(_ALPHABETS), k=draw.randint(1, 5))) for _ in range(draw.randint(2, 12))
        )
        for _ in range(count)
    ]


def opening_ids(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before a text: the id of its beginning-of-text token, or nothing."""
    whole, plain = tokenizer.encode("a"), tokenizer.encode("a", add_special_tokens=False)
    ids: list[int] = whole[: len(whole) - len(plain)] if whole[len(whole) - len(plain) :] == plain else []
    return ids


def _plain_reader(tokenizer: Any) -> Any:
    """The source's tokenizer as it reads special tokens as characters.

    Those count as special too that llama.cpp takes for it whatever the file says (Qwen marks some of them otherwise).
    """
    from tokenizers import Tokenizer

    data = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in data["added_tokens"]:
        token["special"] = token["special"] or token["content"] in CONTROL_BY_TEXT
    reader = Tokenizer.from_str(json.dumps(data))
    reader.encode_special_tokens = True
    reader.no_truncation()
    return reader


def _ids_of_source(text: str, tokenizer: Any, plain: Any) -> list[list[int]]:
    parsed = tokenizer(text, add_special_tokens=False, split_special_tokens=False)
    whole = tokenizer(text, add_special_tokens=True, split_special_tokens=False)
    return [plain.encode(text, add_special_tokens=False).ids, parsed["input_ids"], whole["input_ids"]]


def _ids_of_file(text: str, llama: Llama) -> list[list[int]]:
    return [
        llama.tokenize(text, special=False),
        llama.tokenize(text, special=True),
        llama.tokenize(text, special=True, opening=True),
    ]


def _normalized(text: str, tokenizer: Any) -> str:
    normalizer = tokenizer.backend_tokenizer.normalizer
    return text if normalizer is None else str(normalizer.normalize_str(text))


def _shown(text: str, llama: Llama, tokenizer: Any, plain: Any) -> str:
    ways: Sequence[str] = ("plain", "with special tokens", "as a whole text")
    pairs = zip(ways, _ids_of_source(text, tokenizer, plain), _ids_of_file(text, llama), strict=True)
    way, source, file = next((way, source, file) for way, source, file in pairs if source != file)
    at = next((n for n, (s, f) in enumerate(zip(source, file, strict=False)) if s != f), min(len(source), len(file)))
    return f"{text[:SHOWN_CHARACTERS]!r} ({way}) is {source[: at + 3]}… in the source and {file[: at + 3]}… in the file"
