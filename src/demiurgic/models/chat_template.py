"""What a Hugging Face tokenizer says of its dialect: its template, its special tokens, how its pieces come about.

Knows the tokenizer's own form of these things, nothing of spans or rows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.dialects.base import UnwritableError
from demiurgic.dialects.templated import Apply, SpecialTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

TODAY = datetime(2024, 7, 26, tzinfo=UTC)
"""What templates are told today is: the default of LLaMA 3's own. The true date would change the tokens every day."""
ASKS_DATE = re.compile(r"""\bstrftime_now\s*\(\s*(['"])([^'"\\]*)\1\s*\)""")
NAMES_DATE = re.compile(r"\bstrftime_now\b(?!\s+is\s+(not\s+)?defined)")
REASON_LIMIT = 60
TEMPLATE_FAULTS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What running a foreign template raises beside jinja's own errors: a role that is no key, a number added to text."""

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
                "Put the one to use as chat_template.jinja into the folder it comes from, and fetch again."
            )
        found = found["default"]
    return None if found is None else str(found)


def applying(template: str, *, named: Mapping[str, Any]) -> Apply:
    """A callable that renders messages with a template, as transformers' `apply_chat_template` does, but for the date.

    `named` are the special tokens by the names that templates write (`bos_token`). Raises UserError for a template that
    asks for the date in a form it computes.
    """
    dated = _with_fixed_date(template)

    def apply(messages: Sequence[Mapping[str, str]], generation_prompt: bool) -> str:
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        given = {**named, "date_string": TODAY.strftime("%d %b %Y")}
        conversation = [dict(message) for message in messages]
        try:
            (text,), _ = render_jinja_template(
                conversations=[conversation], chat_template=dated, add_generation_prompt=generation_prompt, **given
            )
        except TemplateError as error:
            reason = error.message or type(error).__name__
            raise UnwritableError(f"what the template refuses: {_short(reason)}") from None
        except TEMPLATE_FAULTS as error:
            reason = f"{type(error).__name__}: {error}"
            raise UnwritableError(f"what the template fails on ({_short(reason)})") from None
        return str(text)

    return apply


def _with_fixed_date(template: str) -> str:
    """`strftime_now("%Y")` becomes `"2024"`: transformers lets nothing that is given to a template be called."""
    fixed = ASKS_DATE.sub(lambda call: json.dumps(TODAY.strftime(call[2])), template)
    if NAMES_DATE.search(fixed):
        raise UserError(
            "The chat template writes today's date in a form that it computes (strftime_now), so that a row would give "
            "other tokens every day. Put a copy with a fixed date as chat_template.jinja into the folder it comes "
            "from, and fetch again."
        )
    return fixed


def _short(reason: str) -> str:
    return " ".join(reason.split())[:REASON_LIMIT]


def special_tokens(tokenizer: "PreTrainedTokenizerFast") -> SpecialTokens:
    """The special tokens, and which of them stand around a text.

    Raises UserError when there is none that ends a text.
    """
    end = tokenizer.eos_token
    if end is None:
        raise UserError(
            "The tokenizer has no eos_token, so that nothing could end a text. Name one in tokenizer_config.json of "
            "the folder it comes from, and fetch again."
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
