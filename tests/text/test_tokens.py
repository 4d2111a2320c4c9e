"""The estimate of tokens against a byte-level tokenizer that is trained here on other rows of the same sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.text.tokens import estimated_tokens
from demiurgic.text.utf8 import Texts
from real_data import needs_real_data, pairs
from tiny_rows import a_few

# As GPT-4's and Llama 3's: words with the space before, up to three digits, runs of signs, breaks of lines.
PIECES = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SETS = {
    "alpaca_en/alpaca_data-0-3252-en.json": 0.15,
    "gsm8k_train/train.jsonl": 0.15,
    "codealpaca/new_codealpaca.json": 0.25,
    "gpteacher/roleplay-simple-deduped-roleplay-instruct.json": 0.15,
}
"""How far the whole of a set may be off."""


@pytest.fixture(scope="module")
def texts():
    return {name: [f"{prompt}\n{answer}" for prompt, answer in pairs(name, limit=1_600)] for name in SETS}


@pytest.fixture(scope="module")
def tokenizer(texts):
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(PIECES), "isolated")
    as_bytes = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, as_bytes])
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=16_000, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([text for rows in texts.values() for text in rows[::2]], trainer)
    return made


@needs_real_data
@pytest.mark.parametrize("name", SETS)
def test_a_set_is_estimated_within_its_bound(name, texts, tokenizer):
    rows = texts[name][1::2]
    counted_N = np.array([len(tokenizer.encode(text).ids) for text in rows])
    estimated_N = estimated_tokens(Texts.of(rows))
    assert abs(estimated_N.sum() / counted_N.sum() - 1) < SETS[name]
    # One row in twenty may be off by more than twice the bound of its set.
    assert np.mean(abs(estimated_N / counted_N - 1) > 2 * SETS[name]) < 0.05


@a_few
@given(st.text(), st.text())
def test_a_longer_text_has_no_fewer_tokens(text, more):
    alone, together = estimated_tokens(Texts.of([text, f"{text} {more}"]))
    assert together >= alone


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("word", 1), ("12345", 2), ("你好吗", 3), ("camelCaseName", 3)])
def test_a_few_texts_are_as_one_would_count_them(text, tokens):
    assert estimated_tokens(Texts.of([text]))[0] == tokens
