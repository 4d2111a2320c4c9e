"""Rows to token ids. Knows the dialect's spans and the tokenizer, nothing of windows or models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.hashing import digest_file
from demiurgic.core.optional import require
from demiurgic.core.records import Message, Row
from demiurgic.dialects import DIALECTS, Dialect, LossOn, Span, Templated, Texts
from demiurgic.models.chat_template import applying, chat_template, refuse_other_than_byte_level, special_tokens
from demiurgic.models.lfs import refuse_pointer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
"""What a tokenizer folder may hold; the first two must be there."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids, and the loss weight of each as a target predicted from the one before it."""

    ids: list[int]
    weights: list[float]


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer of a tokenizer or model folder, exactly as its `tokenizer.json` says.

    Raises UserError when the folder holds none, or a damaged one.
    """
    for name in TOKENIZER_FILES[:2]:
        if not (folder / name).is_file():
            raise UserError(f"{folder} holds no tokenizer: {name} is missing. Point to a tokenizer or a model folder.")
        refuse_pointer(folder / name)
    require("transformers")
    from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # for much of what it cannot read, tokenizers raises nothing finer
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"The tokenizer of {folder} is damaged ({reason}). Take its files ({', '.join(TOKENIZER_FILES[:3])}) "
            "anew from where they come from."
        ) from None


def tokenizer_digest(folder: Path) -> str:
    """sha256 of the `tokenizer.json` in a tokenizer or model folder: equal digests, equal ids for every text."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(
            f"{folder} holds no tokenizer: tokenizer.json is missing. Point to a tokenizer or a model folder."
        )
    return digest_file(path)


def dialect_of(tokenizer: "PreTrainedTokenizerFast") -> Dialect:
    """The dialect in which a tokenizer's model was, or is to be, spoken to: ours, or what its chat template writes.

    A tokenizer without a template has a dialect that writes plain texts alone. Raises UserError for a template that
    cannot be trained on, and for a tokenizer whose pieces depend on where in the text they stand.
    """
    refuse_other_than_byte_level(tokenizer)
    template = chat_template(tokenizer)
    for dialect in DIALECTS.values():
        if template == dialect.template:
            return dialect
    special = special_tokens(tokenizer)
    if template is None:
        return Texts(special)
    return Templated(template, special=special, apply=applying(template, named=tokenizer.special_tokens_map))


def encode_rows(
    rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", *, dialect: Dialect, loss_on: LossOn = "answers"
) -> list[Encoded]:
    """Token ids and weights of each row, spans encoded one by one; many rows at once are several times faster."""
    return _encode([dialect.render(row, loss_on=loss_on) for row in rows], tokenizer)


def encode_row(
    row: Row, tokenizer: "PreTrainedTokenizerFast", *, dialect: Dialect, loss_on: LossOn = "answers"
) -> Encoded:
    """Token ids and weights of a row, not yet cut to any length."""
    return encode_rows([row], tokenizer, dialect=dialect, loss_on=loss_on)[0]


def encode_prompt(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerFast", *, dialect: Dialect) -> list[int]:
    """Token ids of a conversation up to where the assistant begins to write its next message."""
    return _encode([dialect.render(messages, generation_prompt=True)], tokenizer)[0].ids


def stop_ids(tokenizer: "PreTrainedTokenizerFast", *, dialect: Dialect) -> list[int]:
    """The ids that end an answer."""
    return [int(tokenizer.convert_tokens_to_ids(token)) for token in dialect.stop_tokens]


def _encode(rows: Iterable[Sequence[Span]], tokenizer: Any) -> list[Encoded]:
    rows = list(rows)
    written = [span.text for spans in rows for span in spans if not span.control]
    # split_special_tokens: what looks like a special token in someone's text is characters, not an instruction.
    texts = iter(_ids(written, tokenizer, split_special_tokens=True))
    controls = sorted({span.text for spans in rows for span in spans if span.control})
    ids_of = dict(zip(controls, _ids(controls, tokenizer, split_special_tokens=False), strict=True))
    encoded = []
    for spans in rows:
        row = Encoded([], [])
        for span in spans:
            ids = ids_of[span.text] if span.control else next(texts)
            row.ids.extend(ids)
            row.weights.extend([span.weight] * len(ids))
        encoded.append(row)
    return encoded


def _ids(texts: list[str], tokenizer: Any, *, split_special_tokens: bool) -> list[list[int]]:
    if not texts:
        return []
    encoding = tokenizer(
        texts,
        add_special_tokens=False,
        split_special_tokens=split_special_tokens,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    ids: list[list[int]] = encoding["input_ids"]
    return ids
