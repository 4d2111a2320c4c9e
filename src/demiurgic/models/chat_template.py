"""What a Hugging Face tokenizer says of its dialect: its template, its special tokens, how its pieces come about.

Knows the tokenizer's own form of these things, nothing of spans or rows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.dialects.base import UnwritableError
from demiurgic.dialects.templated import Apply, SpecialTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

DATE = "26 Jul 2024"
"""The `date_string` given to templates that take one (LLaMA 3): their own default, where today's date would make every
day's tokens other ones."""
REASON_LIMIT = 60

PLACELESS = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase")
"""Normalizers that treat a character the same wherever it stands."""


def chat_template(tokenizer: "PreTrainedTokenizerFast") -> str | None:
    """The template that conversations are written with; of several named ones that called `default`.

    Raises UserError when there are several and none is the default.
    """
    found: Any = tokenizer.chat_template
    if isinstance(found, Mapping):
        if "default" not in found:
            raise UserError(
                f"The tokenizer has the chat templates {', '.join(sorted(found))} and none called default. "
                "Put the one to use into the folder as chat_template.jinja."
            )
        found = found["default"]
    return None if found is None else str(found)


def applying(tokenizer: "PreTrainedTokenizerFast", template: str) -> Apply:
    """A callable that renders messages with a template of the tokenizer.

    Raises UserError for a template that writes today's date.
    """
    if "strftime_now" in template and "date_string" not in template:
        raise UserError(
            "The tokenizer's chat template writes today's date (strftime_now), so that a row would give other tokens "
            "every day. Put a copy with a fixed date into the folder as chat_template.jinja."
        )
    from jinja2 import TemplateError

    def apply(messages: Sequence[Mapping[str, str]], generation_prompt: bool) -> str:
        try:
            text = tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                chat_template=template,
                tokenize=False,
                add_generation_prompt=generation_prompt,
                date_string=DATE,
            )
        except TemplateError as error:
            reason = " ".join((error.message or type(error).__name__).split())
            raise UnwritableError(f"what the template refuses: {reason[:REASON_LIMIT]}") from None
        return str(text)

    return apply


def special_tokens(tokenizer: "PreTrainedTokenizerFast") -> SpecialTokens:
    """The special tokens, and which of them stand around a text.

    Raises UserError when there is none that ends a text.
    """
    end = tokenizer.eos_token
    if end is None:
        raise UserError(
            "The tokenizer has no eos_token, so that nothing could end a text. Name one in tokenizer_config.json."
        )
    added = sorted(tokenizer.added_tokens_decoder.items())
    named = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    around = tokenizer("", add_special_tokens=True)["input_ids"]
    begins = bool(around) and around[0] == tokenizer.bos_token_id
    return SpecialTokens(
        tokens=tuple(str(token) for _, token in added if token.special),
        begin_of_text=str(tokenizer.bos_token) if begins else None,
        end_of_text=str(end),
        named=named,
    )


def refuse_other_than_byte_level(tokenizer: "PreTrainedTokenizerFast") -> None:
    """Raises UserError unless a text's pieces are the same wherever it stands: byte-level BPE without a prefix space.

    Prompts and answers are encoded one by one, and must give the tokens that they have in the whole.
    """
    why = _depends_on_place(tokenizer.backend_tokenizer)
    if why:
        raise UserError(
            f"The tokenizer is not a byte-level BPE: {why}. The same words would give other tokens at the beginning of "
            "a text than within it, as in LLaMA 2 and Mistral 7B. Use a model of a newer family: LLaMA 3, Qwen 2 and "
            "later, Mistral Nemo and later."
        )


def _depends_on_place(backend: "Tokenizer") -> str | None:
    from tokenizers.models import BPE

    if not isinstance(backend.model, BPE):
        return f"its model is {type(backend.model).__name__}"
    if backend.model.byte_fallback:
        return "it falls back to bytes for what its vocabulary lacks"
    for step in _steps(backend.normalizer, "normalizers"):
        if step["type"] not in PLACELESS:
            return f"its normalizer is {step['type']}"
    splitting = _steps(backend.pre_tokenizer, "pretokenizers")
    for step in splitting:
        if step["type"] == "Metaspace" or step.get("add_prefix_space"):
            return f"its pre-tokenizer {step['type']} puts a space before the text"
    if not any(step["type"] == "ByteLevel" for step in splitting):
        return "its pre-tokenizer does not write bytes"
    return None


def _steps(part: Any, members: str) -> list[Mapping[str, Any]]:
    """The single steps of a normalizer or pre-tokenizer, as `tokenizer.json` writes them."""
    return [] if part is None else _flat(json.loads(part.__getstate__()), members)


def _flat(part: Mapping[str, Any], members: str) -> list[Mapping[str, Any]]:
    return [step for member in part[members] for step in _flat(member, members)] if members in part else [part]
