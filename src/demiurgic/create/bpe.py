"""Byte-level BPE: learned from texts, written as a Hugging Face folder. Knows nothing of rows or stages."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.dialects import Dialect

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Qwen2's published pattern, to the letter: programs that read GGUF know it by name ("qwen2"), and it is whole without
# a normalizer or a beginning-of-text token. Each digit is a token of its own.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = 256
MIN_PAIRS = 2
"""A pair seen once says nothing of the next text."""


def train_bpe(texts: Iterable[str], *, size: int, special_tokens: Sequence[str]) -> "Tokenizer":
    """Learn a vocabulary of exactly `size` tokens: special tokens first, then the 256 bytes, then merges.

    The same texts give the same tokenizer in every process. Raises UserError when the texts hold too little.
    """
    require("tokenizers")
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    smallest = BYTES + len(special_tokens)
    if size < smallest:
        raise UserError(f"A size of {size} was asked for; bytes and special tokens alone are {smallest}. Ask for more.")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=MIN_PAIRS,
        special_tokens=list(special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learned = tokenizer.get_vocab_size()
    if learned != size:
        raise UserError(
            f"The text is enough for {learned} tokens and {size} were asked for. Give more text or set size: {learned}."
        )
    return tokenizer


def save_tokenizer(tokenizer: "Tokenizer", folder: Path, *, dialect: Dialect) -> None:
    """Write the folder that Hugging Face's fast tokenizers load, with the dialect's template and special tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": None,
        "chat_template": dialect.template,
        "clean_up_tokenization_spaces": False,
        "eos_token": dialect.end_of_turn,
        "model_max_length": 10**30,
        "pad_token": dialect.end_of_text,
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
