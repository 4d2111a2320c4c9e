import json
from pathlib import Path

from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.tokenization import all_texts, compare_tokens, mixtures, opening_ids
from demiurgic.models.gguf.write import write_gguf
from demiurgic.models.tokenizer import load_tokenizer
from pretrained import pretrained


def test_every_special_token_is_among_the_texts(tmp_path: Path):
    tokenizer = load_tokenizer(pretrained(tmp_path / "model", "qwen2"))
    texts = all_texts(tokenizer)
    for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>"):
        assert {token, f"a{token}b"} <= set(texts)
    assert len(texts) > 200


def test_mixtures_are_the_same_every_time_and_of_many_kinds():
    assert mixtures() == mixtures()
    assert len({character for text in mixtures() for character in text}) > 100


def test_what_a_text_begins_with_is_found(tmp_path: Path):
    llama3 = load_tokenizer(pretrained(tmp_path / "llama3", "llama3"))
    assert opening_ids(llama3) == [llama3.bos_token_id]
    assert opening_ids(load_tokenizer(pretrained(tmp_path / "qwen2", "qwen2"))) == []


def test_a_tokenizer_that_normalizes_is_compared_on_normalized_text(tmp_path: Path):
    source = pretrained(tmp_path / "model", "qwen2")
    data = json.loads((source / "tokenizer.json").read_text())
    (source / "tokenizer.json").write_text(json.dumps({**data, "normalizer": {"type": "NFC"}}))
    tokenizer = load_tokenizer(source)
    file = write_gguf(source, tmp_path / "model.gguf", type="f16", name="model").file
    with Llama(file, context=16, threads=1) as llama:
        apart = "e\u0301"
        assert tokenizer(apart)["input_ids"] != llama.tokenize(apart, special=True)
        assert compare_tokens(llama, tokenizer).mismatches == 0
