"""Tokenizers of every kind that GGUF has a name for, and of some that it has none for, put into a model's folder."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from demiurgic.models.gguf.pretokenizers import Cut, PreTokenizer

ENDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def pre_tokenizer_of(rule: PreTokenizer) -> Any:
    return pre_tokenizers.Sequence([_step(cut) for cut in rule.cuts])


def trained(
    texts: Iterable[str], pre_tokenizer: Any, *, size: int, ignore_merges: bool = False, added: Iterable[Any] = ()
) -> Tokenizer:
    """A byte-level BPE learned from texts, with the special tokens of ChatML behind it, then `added` ones."""
    words = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    words.pre_tokenizer = pre_tokenizer
    words.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=1, initial_alphabet=alphabet, show_progress=False)
    words.train_from_iterator(texts, trainer)
    words.add_special_tokens([AddedToken(token, special=True) for token in ENDS])
    words.add_tokens(list(added))
    return words


def change_tokenizer(folder: Path, **changes: Any) -> None:
    """Change sections of a folder's tokenizer.json; `model` is merged into the one that is there."""
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"] |= changes.pop("model", {})
    path.write_text(json.dumps(data | changes))


def change_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None removes one."""
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def _step(cut: Cut) -> Any:
    if cut.kind == "split":
        return pre_tokenizers.Split(Regex(cut.pattern), behavior="isolated")
    if cut.kind == "digits":
        return pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=bool(cut.pattern))
