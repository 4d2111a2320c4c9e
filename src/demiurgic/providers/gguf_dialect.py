"""How a GGUF file wants to be spoken to: the dialect that its source's tokenizer gives, from its metadata alone."""

from collections.abc import Sequence
from pathlib import Path

from demiurgic.core.errors import UserError
from demiurgic.dialects import DIALECTS, Dialect, Templated
from demiurgic.dialects.templated import SpecialTokens
from demiurgic.models.chat_template import applying
from demiurgic.models.gguf.metadata import Metadata

BYTE_LEVEL = "gpt2"
"""What GGUF calls a byte-level BPE."""
CONTROL_TYPES = (2, 3)
"""Unknown and control, of `llama_token_type`: tokens that are no text."""


def chat_template_of(metadata: Metadata, *, file: Path) -> str:
    """The chat template of a file. Raises UserError when it has none."""
    template = metadata.fields.get("tokenizer.chat_template")
    if not template:
        raise UserError(
            f"{file} has no chat template, so nobody knows how to ask it. It is a base model's file, or was made "
            "without one: export it again from a folder with a chat_template.jinja."
        )
    return str(template)


def dialect_of_gguf(metadata: Metadata, *, file: Path) -> Dialect:
    """The dialect of a file. Raises UserError for a file without a template, or with a tokenizer of another kind."""
    template = chat_template_of(metadata, file=file)
    kind = metadata.fields.get("tokenizer.ggml.model")
    if kind != BYTE_LEVEL or metadata.fields.get("tokenizer.ggml.add_space_prefix"):
        raise UserError(
            f'{file} has a tokenizer of the kind "{kind}", and only byte-level BPE ("{BYTE_LEVEL}") is written here: '
            "LLaMA 3, Qwen 2 and later, Mistral Nemo and later."
        )
    for dialect in DIALECTS.values():
        if template == dialect.template:
            return dialect
    special = _special_tokens(metadata, file=file)
    return Templated(template, special=special, apply=applying(template, named=special.named))


def _special_tokens(metadata: Metadata, *, file: Path) -> SpecialTokens:
    tokens: Sequence[str] = metadata.fields["tokenizer.ggml.tokens"]
    types: Sequence[int] = metadata.fields.get("tokenizer.ggml.token_type", [1] * len(tokens))
    named = {
        f"{name}_token": tokens[id]
        for name in ("bos", "eos")
        if (id := metadata.fields.get(f"tokenizer.ggml.{name}_token_id")) is not None
    }
    if "eos_token" not in named:
        raise UserError(f"{file} names no token that ends a text (tokenizer.ggml.eos_token_id). Export it again.")
    begins = bool(metadata.fields.get("tokenizer.ggml.add_bos_token"))
    return SpecialTokens(
        tokens=tuple(token for token, kind in zip(tokens, types, strict=True) if kind in CONTROL_TYPES),
        begin_of_text=named.get("bos_token") if begins else None,
        end_of_text=named["eos_token"],
        named=named,
    )
