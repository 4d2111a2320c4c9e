"""Models and token windows made up on the spot, as finished artifacts: random weights, random ids, any vocabulary."""

import json
from pathlib import Path

from demiurgic.core.artifacts import Manifest, stamp_part
from demiurgic.core.metric import Summary

WINDOWS = "tokens"
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def made_up_model(folder: Path, *, vocabulary: int, context: int, seed: int, **dimensions: int) -> Path:
    """A LLaMA of these dimensions (`hidden_size=512`, …), its embeddings tied; returns the part's folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    part = folder / "model"
    write_tokenizer(part, vocabulary=vocabulary)
    config = LlamaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 3,
        bos_token_id=None,
        **dimensions,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(str(part))
    return finished(part, kind="model")


def made_up_tokens(part: Path, model: Path, *, num_windows: int, length: int, seed: int) -> Path:
    """Windows of random ids, one document each, every token but the first supervised; returns the part's folder."""
    import numpy as np

    from demiurgic.models.packing import Pieces
    from demiurgic.models.tokenizer import dialect_of, load_tokenizer, tokenizer_digest
    from demiurgic.models.windows import Packed, write_windows

    vocabulary = json.loads((model / "model" / "config.json").read_text())["vocab_size"]
    shape = (num_windows, length)
    weights_NT = np.ones(shape, np.float16)
    weights_NT[:, 0] = 0
    ids_NT = np.random.default_rng(seed).integers(vocabulary - len(SPECIAL), size=shape).astype(np.uint32)
    windows, zeros = np.arange(num_windows), np.zeros(num_windows, np.int64)
    pieces = Pieces(row=windows, offset=zeros, window=windows, start=zeros, end=zeros + length)
    write_windows(
        part,
        Packed(ids_NT, weights_NT, np.ones(shape, np.uint16), pieces),
        row_ids=[f"row:{number}" for number in windows],
        vocab_size=vocabulary,
        tokenizer_digest=tokenizer_digest(model / "model"),
        dialect=dialect_of(load_tokenizer(model / "model")).name,
    )
    return finished(part, kind="tokens")


def write_tokenizer(folder: Path, *, vocabulary: int) -> None:
    """A tokenizer of exactly so many tokens: the bytes, words that no text is cut into, and the special ones."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [f"word{number}" for number in range(vocabulary - len(letters) - len(SPECIAL))]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate([*letters, *words])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[2], "pad_token": SPECIAL[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def finished(part: Path, *, kind: str) -> Path:
    """Make a folder the one part of a finished step, by the manifest beside it; returns the folder."""
    Manifest(
        step=part.parent.name, stage="made_up", version=1, key=part.parent.name, config={}, seed=None, inputs={},
        parts={part.name: stamp_part(part, kind=kind)}, summary=Summary(), lineage={}, took={}, made="",
    ).write(part.parent)  # fmt: skip
    return part
