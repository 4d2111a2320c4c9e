import json
import unicodedata
from pathlib import Path

import pytest
from tokenizers import Regex, pre_tokenizers

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.pretokenizers import PRE_TOKENIZERS, PreTokenizer, find_pre_tokenizers
from demiurgic.models.gguf.tokenization import HARD_TEXTS, mixtures
from demiurgic.models.gguf.write import write_gguf
from demiurgic.models.probes import TEXTS
from demiurgic.models.tokenizer import load_tokenizer
from gguf_files import fields_of
from odd_tokenizers import pre_tokenizer_of, trained
from pretrained import LLAMA3_SPLIT, QWEN2_SPLIT, TEKKEN_SPLIT, pretrained

SIZE = 4096


def section(pre_tokenizer) -> dict:
    return json.loads(trained([], pre_tokenizer, size=256).to_str())["pre_tokenizer"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    return pretrained(tmp_path_factory.mktemp("pre") / "model", "qwen2", vocab_size=SIZE, **small)


@pytest.mark.parametrize("rule", PRE_TOKENIZERS, ids=lambda rule: rule.name)
def test_llama_cpp_cuts_by_the_name_as_the_tokenizer_does(folder: Path, tmp_path: Path, rule: PreTokenizer):
    texts = [*TEXTS, *HARD_TEXTS, *mixtures()]
    # Trained on the very texts, so that wherever a cut may fall there is a merge across it.
    words = trained(texts * 2, pre_tokenizer_of(rule), size=SIZE - 8, ignore_merges=rule.ignores_merges)
    words.save(str(folder / "tokenizer.json"))
    written = write_gguf(folder, tmp_path / "model.gguf", type="f16", name="tiny")
    assert fields_of(written.file)["tokenizer.ggml.pre"] == rule.name
    tokenizer = load_tokenizer(folder)
    with Llama(written.file, context=8, threads=1) as llama:
        wrong = [text for text in texts if tokenizer.encode(text) != llama.tokenize(text, special=True)]
    assert bool(wrong) == bool(rule.differs_on)
    assert all(any(unicodedata.category(c).startswith("M") for c in text) for text in wrong)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [(LLAMA3_SPLIT, ["llama-bpe", "smaug-bpe"]), (QWEN2_SPLIT, ["qwen2"]), (TEKKEN_SPLIT, ["tekken"])],
)
def test_published_patterns_are_known_in_both_spellings_of_a_split(pattern: str, names: list[str]):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for how in ({"behavior": "isolated"}, {"behavior": "removed", "invert": True}):
        split = pre_tokenizers.Split(Regex(pattern), **how)
        found = find_pre_tokenizers(section(pre_tokenizers.Sequence([split, byte_level])))
        assert [rule.name for rule in found] == names


def test_a_byte_level_step_alone_is_gpt_2():
    found = find_pre_tokenizers(section(pre_tokenizers.ByteLevel(add_prefix_space=False)))
    assert [rule.name for rule in found] == ["gpt-2"]


@pytest.mark.parametrize(
    "odd",
    [
        pre_tokenizers.ByteLevel(add_prefix_space=True),
        pre_tokenizers.Whitespace(),
        pre_tokenizers.Metaspace(),
        pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="merged_with_next"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
    ],
)
def test_another_structure_is_refused_and_shown(odd):
    with pytest.raises(UserError, match=r"no rule that cuts text.*Found: (unknown|bytes).*Known: llama-bpe, smaug-bpe"):
        find_pre_tokenizers(section(odd))


def test_a_changed_pattern_is_refused_and_shown():
    split = pre_tokenizers.Split(Regex(QWEN2_SPLIT.replace(r"\p{N}|", r"\p{N}{1,2}|")), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    with pytest.raises(UserError, match=r"Found: split .*\\p\{N\}\{1,2\}.*; then bytes\. Known"):
        find_pre_tokenizers(section(pre_tokenizers.Sequence([split, byte_level])))


def test_no_pre_tokenizer_at_all_is_refused():
    with pytest.raises(UserError, match="Found: nothing"):
        find_pre_tokenizers(None)
