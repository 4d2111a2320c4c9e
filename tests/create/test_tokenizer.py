import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demiurgic.core.artifacts import Manifest, Tokenizer
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric
from demiurgic.core.records import Row
from demiurgic.create.bpe import train_bpe
from demiurgic.create.tokenizer import STAGE, bytes_per_token, check_round_trip
from demiurgic.dialects import DIALECTS
from demiurgic.models.tokenizer import dialect_of, load_tokenizer
from demiurgic.run.step import run_stage
from tiny_models import LINES, QUIET, conversation, tiny_dataset, tiny_tokenizer

SPECIAL = DIALECTS["chatml"].special_tokens


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage run on a few rows."""
    folder = tmp_path_factory.mktemp("tokenizer")
    rows = [conversation(line, LINES[number - 1], id=f"row:{number}") for number, line in enumerate(LINES)]
    data = tiny_dataset(folder / "data", [*rows, Row(id="text", text="你好 🙂 " * 3)])
    return run_stage(STAGE, {"text": data, "size": 320}, folder / "words", context=QUIET)


def test_a_tokenizer_has_exactly_the_size_asked_for(step: Path):
    tokenizer = load_tokenizer(Tokenizer.open(step).path)
    assert len(tokenizer) == 320
    assert sorted(tokenizer.get_vocab().values()) == list(range(320))


def test_special_tokens_come_first_and_the_dialect_is_known(step: Path):
    tokenizer = load_tokenizer(step / "tokenizer")
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == list(SPECIAL)
    assert dialect_of(tokenizer).name == "chatml"


def test_the_summary_says_how_many_bytes_a_token_holds(step: Path):
    metric = Manifest.read(step).summary.metrics["bytes_per_token"]
    assert metric.n == len(LINES) + 1
    assert 1 < metric.low <= metric.value <= metric.high


def test_a_single_row_has_its_bytes_per_token_and_no_interval(tmp_path: Path):
    data = tiny_dataset(tmp_path / "data", [Row(id="all", text="\n".join(LINES))])
    step = run_stage(STAGE, {"text": data, "size": 280}, tmp_path / "words", context=QUIET)
    metric = Manifest.read(step).summary.metrics["bytes_per_token"]
    assert metric == Metric.exact(metric.value)
    assert metric.value > 1


def test_text_that_was_never_seen_comes_back_as_it_was(step: Path):
    tokenizer = load_tokenizer(step / "tokenizer")
    for text in ("Ωμέγα — 龍 🏴‍☠️", "\r\n\ttabs  and   spaces ", "x" * 100, "<|im_end|>"):
        assert tokenizer.decode(tokenizer.encode(text, split_special_tokens=True)) == text


def test_digits_stand_alone():
    tokenizer = train_bpe(["in the year 1234 " * 9], size=265, special_tokens=SPECIAL)
    assert tokenizer.encode("1234").tokens == ["1", "2", "3", "4"]


def test_the_folder_has_the_structure_by_which_other_programs_know_it(step: Path):
    pre_tokenizer = json.loads((step / "tokenizer" / "tokenizer.json").read_text())["pre_tokenizer"]["pretokenizers"]
    # The published pattern of Qwen2, letter by letter.
    assert pre_tokenizer[0]["pattern"]["Regex"] == (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    assert pre_tokenizer[1]["type"] == "ByteLevel"
    assert (pre_tokenizer[1]["add_prefix_space"], pre_tokenizer[1]["use_regex"]) == (False, False)


def test_the_same_texts_give_the_same_bytes_in_every_process():
    code = "\n".join(
        (
            "import sys, hashlib; sys.path.insert(0, 'tests')",
            "from tiny_models import QUIET, LINES",
            "from demiurgic.create.bpe import train_bpe",
            "words = train_bpe(LINES * 3, size=330, special_tokens=['<a>'])",
            "print(hashlib.sha256(words.to_str().encode()).hexdigest())",
        )
    )
    root = Path(__file__).parents[2]
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "RAYON_NUM_THREADS": threads},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed, threads in (("1", "1"), ("2", "2"), ("3", "2"))
    }
    assert len(printed) == 1


def test_a_text_too_small_for_the_size_says_how_far_it_goes():
    with pytest.raises(UserError, match=r"The text is enough for \d+ tokens and 4096 were asked for"):
        train_bpe(LINES, size=4096, special_tokens=SPECIAL)


def test_a_size_below_the_bytes_is_refused():
    with pytest.raises(UserError, match="bytes and special tokens alone are 259"):
        train_bpe(LINES, size=100, special_tokens=SPECIAL)


def test_rows_without_text_are_refused(tmp_path: Path):
    data = tiny_dataset(tmp_path / "data", [])
    with pytest.raises(UserError, match="no text to learn a tokenizer from"):
        run_stage(STAGE, {"text": data, "size": 300}, tmp_path / "words", context=QUIET)


def test_bytes_per_token_counts_utf8_bytes(tmp_path: Path):
    tokenizer = load_tokenizer(tiny_tokenizer(tmp_path / "words"))
    assert bytes_per_token({"a": "龍", "b": "龍龍"}, tokenizer, seed=0).value == 1.0


def test_a_tokenizer_that_loses_something_is_caught(tmp_path: Path):
    folder = tiny_tokenizer(tmp_path / "words")
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(AssertionError, match="'Upper' into 'upper'"):
        check_round_trip(["Upper"], load_tokenizer(folder))
