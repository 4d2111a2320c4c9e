import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, processors

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.tokenization import compare_tokens
from demiurgic.models.gguf.vocabulary import CONTROL, NORMAL, UNUSED, USER_DEFINED, differs_on, read_vocabulary
from demiurgic.models.gguf.write import write_gguf
from demiurgic.models.tokenizer import load_tokenizer
from gguf_files import fields_of
from odd_tokenizers import change_json, change_tokenizer, pre_tokenizer_of, trained
from pretrained import EOS, FAMILIES, SPECIAL, TEMPLATES, Family, pretrained
from tiny_models import LINES


@pytest.fixture
def qwen2(tmp_path: Path) -> Path:
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    return pretrained(tmp_path / "qwen2", "qwen2", **small)


@pytest.fixture
def mistral(tmp_path: Path) -> Path:
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    return pretrained(tmp_path / "mistral", "mistral", **small)


def size_of(folder: Path) -> int:
    return json.loads((folder / "config.json").read_text())["vocab_size"]


def post_process(folder: Path, template: str) -> None:
    """Put tokens around every text, as in `<s> $A </s>`."""
    words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    around = [(token, words.token_to_id(token)) for token in template.split() if not token.startswith("$")]
    words.post_processor = processors.TemplateProcessing(single=template, special_tokens=around)
    words.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_reads_every_text_as_the_source_does(family: Family, tmp_path: Path):
    folder = pretrained(tmp_path / family, family, num_hidden_layers=1)
    written = write_gguf(folder, tmp_path / "model.gguf", type="q8_0", name="tiny")
    with Llama(written.file, context=8, threads=1) as llama:
        found = compare_tokens(llama, load_tokenizer(folder))
    assert (found.texts > 200, found.mismatches, found.first) == (True, 0, None)


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_special_ids_and_template_are_the_tokenizers(family: Family, tmp_path: Path):
    folder = pretrained(tmp_path / family, family, hidden_size=32, intermediate_size=32, num_hidden_layers=1)
    fields = fields_of(write_gguf(folder, tmp_path / "model.gguf", type="f16", name="tiny").file)
    tokenizer = load_tokenizer(folder)
    ids = range(len(tokenizer))
    assert fields["tokenizer.ggml.tokens"] == tokenizer.convert_ids_to_tokens(list(ids))
    kinds = fields["tokenizer.ggml.token_type"]
    assert {fields["tokenizer.ggml.tokens"][i] for i in ids if kinds[i] == CONTROL} == set(SPECIAL[family])
    assert fields["tokenizer.ggml.eos_token_id"] == tokenizer.convert_tokens_to_ids(EOS[family])
    assert fields.get("tokenizer.ggml.bos_token_id") == tokenizer.bos_token_id
    assert fields["tokenizer.ggml.padding_token_id"] == tokenizer.pad_token_id
    assert fields["tokenizer.ggml.add_bos_token"] is (family in ("llama3", "mistral"))
    assert fields["tokenizer.ggml.add_eos_token"] is False
    assert fields["tokenizer.chat_template"] == TEMPLATES[family]


def test_ids_between_tokenizer_and_embedding_are_unused(qwen2: Path):
    size = size_of(qwen2)
    found = read_vocabulary(qwen2, size=size + 3)
    assert list(found.tokens[size:]) == [f"[PAD{size + n}]" for n in range(3)]
    assert list(found.kinds[size:]) == [UNUSED] * 3
    assert UNUSED not in found.kinds[:size]


def test_added_tokens_that_are_not_special_are_always_read(tmp_path: Path, qwen2: Path):
    words = Tokenizer.from_file(str(qwen2 / "tokenizer.json"))
    words.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    words.save(str(qwen2 / "tokenizer.json"))
    found = read_vocabulary(qwen2, size=size_of(qwen2) + 1)
    assert (found.tokens[-1], found.kinds[-1], found.kinds[0]) == ("<tool>", USER_DEFINED, NORMAL)


def test_tokens_that_llama_cpp_takes_for_control_by_their_text_are_no_mismatch(tmp_path: Path, qwen2: Path):
    # As Qwen2.5's are: added, not special, and llama.cpp reads all but the last two as if they were.
    texts = ("<|fim_prefix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_call>", "</tool_call>")
    words = Tokenizer.from_file(str(qwen2 / "tokenizer.json"))
    words.add_tokens([AddedToken(text, special=False, normalized=False) for text in texts])
    words.save(str(qwen2 / "tokenizer.json"))
    wider = pretrained(tmp_path / "wider", "qwen2", num_hidden_layers=1, vocab_size=size_of(qwen2) + len(texts))
    shutil.copy(qwen2 / "tokenizer.json", wider)
    written = write_gguf(wider, tmp_path / "model.gguf", type="f16", name="tiny")
    with Llama(written.file, context=8, threads=1) as llama:
        assert compare_tokens(llama, load_tokenizer(wider)).mismatches == 0
        assert (
            len(llama.tokenize("<tool_call>", special=False)) == 1 < len(llama.tokenize("<|fim_pad|>", special=False))
        )


def test_merges_may_be_pairs_or_text(qwen2: Path):
    pairs = json.loads((qwen2 / "tokenizer.json").read_text())["model"]["merges"]
    before = read_vocabulary(qwen2, size=size_of(qwen2))
    change_tokenizer(qwen2, model={"merges": [" ".join(pair) for pair in pairs]})
    assert read_vocabulary(qwen2, size=size_of(qwen2)) == before
    assert len(before.merges) == len(pairs) > 10


def test_every_token_that_ends_an_answer_has_a_role(qwen2: Path):
    words = load_tokenizer(qwen2)
    ends = words.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>", "<|im_start|>"])
    change_json(qwen2 / "generation_config.json", eos_token_id=ends)
    special = read_vocabulary(qwen2, size=size_of(qwen2)).special
    assert special["eos"] == ends[0]
    # <|endoftext|> is known to llama.cpp by its text, <|im_start|> is not: it goes first.
    assert (special["eot"], special["eom"]) == (ends[2], ends[1])


def test_more_ends_than_a_file_can_name_are_refused(mistral: Path):
    change_json(mistral / "generation_config.json", eos_token_id=[5, 6, 7])
    with pytest.raises(UserError, match="a GGUF names three such tokens"):
        read_vocabulary(mistral, size=size_of(mistral))


def test_a_model_without_an_end_is_refused(mistral: Path):
    change_json(mistral / "tokenizer_config.json", eos_token=None)
    change_json(mistral / "generation_config.json", eos_token_id=None)
    change_json(mistral / "config.json", eos_token_id=None)
    with pytest.raises(UserError, match="names no token that ends a text"):
        read_vocabulary(mistral, size=size_of(mistral))


def test_what_the_post_processor_adds_is_mirrored(tmp_path: Path, mistral: Path):
    post_process(mistral, "<s> $A </s>")
    written = write_gguf(mistral, tmp_path / "model.gguf", type="f16", name="tiny")
    fields = fields_of(written.file)
    assert fields["tokenizer.ggml.add_bos_token"] and fields["tokenizer.ggml.add_eos_token"]
    with Llama(written.file, context=8, threads=1) as llama:
        assert llama.tokenize("x = 1", special=True, opening=True) == load_tokenizer(mistral).encode("x = 1")


@pytest.mark.parametrize(("template", "where"), [("[INST] $A", "before"), ("$A [/INST]", "after")])
def test_another_token_around_every_text_is_refused(mistral: Path, template: str, where: str):
    post_process(mistral, template)
    with pytest.raises(UserError, match=rf"puts \[/?INST\] {where} every text"):
        read_vocabulary(mistral, size=size_of(mistral))


def test_a_tokenizer_with_more_ids_than_the_embedding_is_refused(qwen2: Path):
    with pytest.raises(UserError, match=r"has ids up to \d+, and the model's embedding 300 rows"):
        read_vocabulary(qwen2, size=300)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": {"byte_fallback": True}}, "falls back to bytes"),
        ({"model": {"dropout": 0.1}}, "drops merges at random"),
        ({"model": {"end_of_word_suffix": "</w>"}}, "prefix or suffix"),
        ({"normalizer": {"type": "Lowercase"}}, "changes text first \\(normalizer Lowercase\\)"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "no rule that cuts text"),
    ],
)
def test_what_llama_cpp_would_read_otherwise_is_refused(qwen2: Path, changes: dict[str, Any], reason: str):
    change_tokenizer(qwen2, **changes)
    with pytest.raises(UserError, match=reason):
        read_vocabulary(qwen2, size=size_of(qwen2))


def test_a_byte_without_a_token_is_refused(qwen2: Path):
    model = json.loads((qwen2 / "tokenizer.json").read_text())["model"]
    change_tokenizer(qwen2, model={"vocab": {t: i for t, i in model["vocab"].items() if t != "ÿ"}})
    with pytest.raises(UserError, match="1 of the 256 bytes have no token \\(the first is 'ÿ'\\)"):
        read_vocabulary(qwen2, size=size_of(qwen2))


def test_nfc_is_let_through(qwen2: Path):
    before = read_vocabulary(qwen2, size=size_of(qwen2))
    change_tokenizer(qwen2, normalizer={"type": "NFC"})
    assert read_vocabulary(qwen2, size=size_of(qwen2)) == before


def test_an_added_token_that_swallows_blanks_is_refused(qwen2: Path):
    words = Tokenizer.from_file(str(qwen2 / "tokenizer.json"))
    words.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    words.save(str(qwen2 / "tokenizer.json"))
    with pytest.raises(UserError, match="added token '<mask>' with lstrip"):
        read_vocabulary(qwen2, size=size_of(qwen2) + 1)


def test_ignore_merges_off_has_a_name_of_its_own(tmp_path: Path):
    folder = pretrained(tmp_path / "llama3", "llama3", hidden_size=32, intermediate_size=32, num_hidden_layers=1)
    assert read_vocabulary(folder, size=size_of(folder)).pre == "llama-bpe"
    change_tokenizer(folder, model={"ignore_merges": False})
    assert read_vocabulary(folder, size=size_of(folder)).pre == "smaug-bpe"


def test_ignore_merges_is_let_through_where_it_changes_nothing(qwen2: Path, mistral: Path):
    change_tokenizer(qwen2, model={"ignore_merges": True})
    assert read_vocabulary(qwen2, size=size_of(qwen2)).pre == "qwen2"
    change_tokenizer(mistral, model={"ignore_merges": False})
    assert read_vocabulary(mistral, size=size_of(mistral)).pre == "tekken"


def test_ignore_merges_is_refused_where_merging_does_not_reach_a_token(qwen2: Path):
    model = json.loads((qwen2 / "tokenizer.json").read_text())["model"]
    change_tokenizer(qwen2, model={"ignore_merges": True, "vocab": model["vocab"] | {"zqzq": size_of(qwen2)}})
    with pytest.raises(UserError, match="'zqzq' is in the vocabulary and merging does not reach it"):
        read_vocabulary(qwen2, size=size_of(qwen2) + 1)


def test_a_trimmed_vocabulary_is_read_as_its_tokenizer_reads_it(tmp_path: Path, qwen2: Path):
    from demiurgic.models.gguf.pretokenizers import PRE_TOKENIZERS

    rule = next(rule for rule in PRE_TOKENIZERS if rule.name == "qwen2")
    trained(LINES, pre_tokenizer_of(rule), size=270).save(str(qwen2 / "tokenizer.json"))
    written = write_gguf(qwen2, tmp_path / "model.gguf", type="f16", name="trimmed")
    with Llama(written.file, context=8, threads=1) as llama:
        assert compare_tokens(llama, load_tokenizer(qwen2)).mismatches == 0


def test_a_tokenizer_that_llama_cpp_cuts_otherwise_says_on_which_text(tmp_path: Path):
    assert "combining marks" in differs_on(pretrained(tmp_path / "mistral", "mistral", num_hidden_layers=1))
    assert differs_on(pretrained(tmp_path / "llama3", "llama3", num_hidden_layers=1)) == ""
