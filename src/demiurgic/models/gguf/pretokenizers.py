"""How a tokenizer cuts text into words before it merges bytes, and the name llama.cpp knows that by.

llama.cpp's own converter knows tokenizers by a hash of what they make of one text, so it refuses every new or trimmed
one. What it needs is only the name of a cutting rule, and the rule stands in `tokenizer.json`: this file compares it,
step by step, with the rules of llama.cpp's src/llama-vocab.cpp. Knows nothing of vocabularies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from demiurgic.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Cut:
    """One step: `split` at a regular expression, single `digits`, or to `bytes` (with GPT-2's expression, or none)."""

    kind: str
    pattern: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.pattern}".strip()


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """A rule that llama.cpp has a name for."""

    name: str
    cuts: tuple[Cut, ...]
    ignores_merges: bool = False
    """llama.cpp takes a whole word that is in the vocabulary without merging, as `ignore_merges` asks."""
    differs_on: str = ""
    """Text on which llama.cpp's rule is known to cut otherwise than the tokenizer; empty where none is."""


CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
BLANKS = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CJK = "[一-龥\u3040-ゟ゠-ヿ]+"

LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + BLANKS
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + BLANKS
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + BLANKS
SEED_CODER = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + BLANKS
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
) + BLANKS
GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
) + BLANKS
DEEPSEEK_V3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*"
) + BLANKS

MARKS = "combining marks (Hindi, Thai, decomposed accents), which llama.cpp cuts from their letters"

_BYTES = Cut("bytes")
_GPT2_BYTES = Cut("bytes", "by GPT-2's expression")


def _split(*patterns: str) -> tuple[Cut, ...]:
    return (*(Cut("split", pattern) for pattern in patterns), _BYTES)


PRE_TOKENIZERS: tuple[PreTokenizer, ...] = (
    PreTokenizer("llama-bpe", _split(LLAMA3), ignores_merges=True),
    PreTokenizer("smaug-bpe", _split(LLAMA3)),
    PreTokenizer("qwen2", _split(QWEN2)),
    PreTokenizer("qwen35", _split(QWEN35)),
    PreTokenizer("seed-coder", _split(SEED_CODER)),
    PreTokenizer("tekken", _split(TEKKEN), ignores_merges=True, differs_on=MARKS),
    PreTokenizer("gpt-4o", _split(GPT4O), differs_on=MARKS),
    PreTokenizer("deepseek-v3", _split(r"\p{N}{1,3}", CJK, DEEPSEEK_V3)),
    PreTokenizer("gpt-2", (_GPT2_BYTES,)),
    PreTokenizer("smollm", (Cut("digits"), _GPT2_BYTES)),
)
"""Those whose rule is the same in both, up to what `differs_on` says."""


def find_pre_tokenizers(section: Mapping[str, Any] | None) -> list[PreTokenizer]:
    """The rules that cut as the `pre_tokenizer` section of a tokenizer.json does; they differ in `ignores_merges`.

    Raises UserError, which shows the structure found, when llama.cpp has no such rule.
    """
    cuts = tuple(_cuts(section))
    found = [rule for rule in PRE_TOKENIZERS if rule.cuts == cuts]
    if not found:
        steps = "; then ".join(str(cut) for cut in cuts) or "nothing"
        raise UserError(
            f"llama.cpp has no rule that cuts text as this tokenizer does. Found: {steps}. Known: "
            f"{', '.join(rule.name for rule in PRE_TOKENIZERS)}. A GGUF under another name would get other token ids: "
            "train on a tokenizer of the stage tokenizer, or of a family in this list."
        )
    return found


def _cuts(section: Mapping[str, Any] | None) -> Iterator[Cut]:
    match section:
        case None:
            return
        case {"type": "Sequence", "pretokenizers": list(parts)}:
            for part in parts:
                yield from _cuts(part)
        case {"type": "Split", "pattern": {"Regex": str(pattern)}} if _keeps_matches(section):
            yield Cut("split", pattern)
        case {"type": "Digits", "individual_digits": True}:
            yield Cut("digits")
        case {"type": "ByteLevel", "add_prefix_space": False}:
            yield _GPT2_BYTES if section.get("use_regex", True) else _BYTES
        case _:
            yield Cut("unknown", str(dict(section)))


def _keeps_matches(split: Mapping[str, Any]) -> bool:
    """Whether the matches become words. The two ways to say so are equal for expressions that leave no gaps."""
    return (split.get("behavior"), bool(split.get("invert"))) in (("Isolated", False), ("Removed", True))
