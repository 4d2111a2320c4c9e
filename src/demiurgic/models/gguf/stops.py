"""The special ids of a model: where a text begins, and every token at which its generation ends.

llama.cpp stops at the tokens named `eos`, `eot` and `eom`, and at those whose text it knows. Knows nothing of files'
formats.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

KNOWN_STOPS = frozenset(
    ("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<|end_of_text|>")
)
"""At these texts every llama.cpp of the last two years stops by itself."""
CONTROL_BY_TEXT = KNOWN_STOPS | frozenset(
    (
        *("</s>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<eos>", "<turn|>", "<|tool_response>", "[e~["),
        *("<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>"),
        *("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>"),
        *("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>"),
        *("<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>"),
        *("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>"),
        *("<REPO>", "<reponame>", "<|file_sep|>", "<|prefix|>", "<|suffix|>", "<|middle|>"),
    )
)
"""Tokens of these texts llama.cpp takes for control tokens whatever the file says of them (`llama_vocab::impl::load`):
it reads them from text only where the caller says so, as it reads special tokens."""
STOP_ROLES = ("eos", "eot", "eom")


def special_ids(tokenizer: "PreTrainedTokenizerFast", folder: Path) -> dict[str, int]:
    """The id of each role (`bos`, `eos`, `eot`, `eom`, `pad`, `unk`) that the model has.

    `eos` is the tokenizer's own; the other ids at which transformers stops (generation_config.json, config.json) are
    `eot` and `eom`. Raises UserError when there is no end at all, or more ends than a GGUF can name.
    """
    stops = _stop_ids(tokenizer, folder)
    if not stops:
        raise UserError(
            f"{folder} names no token that ends a text, and llama.cpp would stop at id 11 instead. Set eos_token in "
            "tokenizer_config.json."
        )
    texts = tokenizer.convert_ids_to_tokens(stops)
    # Named first: those that llama.cpp would not find by their text.
    named = stops[:1] + sorted(stops[1:], key=lambda token_id: texts[stops.index(token_id)] in KNOWN_STOPS)
    unnamed = [token for token in named[len(STOP_ROLES) :] if texts[stops.index(token)] not in KNOWN_STOPS]
    if unnamed:
        raise UserError(
            f"{folder} ends its texts at {', '.join(texts)}; a GGUF names three such tokens. Take some out of "
            "eos_token_id in generation_config.json."
        )
    found: dict[str, int | None] = {"bos": tokenizer.bos_token_id}
    found |= dict(zip(STOP_ROLES, named, strict=False))
    found |= {"unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id}
    return {role: int(token_id) for role, token_id in found.items() if token_id is not None}


def _stop_ids(tokenizer: "PreTrainedTokenizerFast", folder: Path) -> list[int]:
    """The tokenizer's own end first, each id once."""
    found = [tokenizer.eos_token_id]
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if config.get("eos_token_id") is not None:
            ids = config["eos_token_id"]
            found += ids if isinstance(ids, list) else [ids]
            break
    return list(dict.fromkeys(int(token_id) for token_id in found if token_id is not None))
