from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from pydantic import ValidationError

from demiurgic.core.artifacts import Manifest, Tokens
from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row
from demiurgic.dialects import DIALECTS
from demiurgic.models.tokenizer import encode_row, load_tokenizer, tokenizer_digest
from demiurgic.models.windows import Windows
from demiurgic.run.step import run_stage
from demiurgic.train.tokenize import STAGE
from tiny_models import QUIET, conversation, tiny_dataset, tiny_words

ROWS = [conversation(f"write number {n}", f"return {n}" * (n % 5 + 1), id=f"row:{n}") for n in range(40)]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_words(tmp_path_factory.mktemp("create") / "words")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "raw", ROWS)


def tokenized(data: Path, words: Path, out: Path, *, seed: int = 0, **values: Any) -> Windows:
    values = {"data": data, "tokenizer": words, "length": 32, **values}
    return Windows.open(Tokens.open(run_stage(STAGE, values, out, seed=seed, context=QUIET)).path)


def row_order(windows: Windows) -> list[str]:
    return list(dict.fromkeys(parquet.read_table(windows.folder / "rows.parquet")["row"].to_pylist()))


def test_the_pieces_of_each_row_are_its_encoding(data: Path, words: Path, tmp_path: Path):
    windows = tokenized(data, words, tmp_path / "rows")
    tokenizer = load_tokenizer(words / "tokenizer")
    found: dict[str, list[int]] = {}
    for piece in parquet.read_table(windows.folder / "rows.parquet").to_pylist():
        ids = windows.ids_NT[piece["window"], piece["start"] : piece["end"]].tolist()
        found.setdefault(piece["row"], []).extend(ids)
    assert found == {row.id: encode_row(row, tokenizer, dialect=DIALECTS["chatml"]).ids for row in ROWS}


def test_windows_mix_rows_by_the_seed(data: Path, words: Path, tmp_path: Path):
    order = row_order(tokenized(data, words, tmp_path / "a", seed=1))
    assert order == row_order(tokenized(data, words, tmp_path / "b", seed=1))
    assert order != row_order(tokenized(data, words, tmp_path / "c", seed=2))
    assert order != [row.id for row in ROWS]


def test_a_smaller_share_is_a_part_of_a_larger_one(data: Path, words: Path, tmp_path: Path):
    quarter = set(row_order(tokenized(data, words, tmp_path / "quarter", share=0.25)))
    half = set(row_order(tokenized(data, words, tmp_path / "half", share=0.5, seed=9)))
    assert 0 < len(quarter) < len(half) < len(ROWS)
    assert quarter < half


def test_prompts_weigh_nothing_unless_everything_is_learned(data: Path, words: Path, tmp_path: Path):
    answers = tokenized(data, words, tmp_path / "answers").counts
    everything = tokenized(data, words, tmp_path / "everything", loss_on="everything").counts
    assert answers.supervised < everything.supervised
    # All but the first token of each piece.
    pieces = parquet.read_metadata(tmp_path / "everything" / "tokens" / "rows.parquet").num_rows
    assert everything.supervised == everything.tokens - pieces


def test_a_stream_is_full_and_fit_keeps_rows_whole(data: Path, words: Path, tmp_path: Path):
    stream = tokenized(data, words, tmp_path / "stream", length=48).counts
    fit = tokenized(data, words, tmp_path / "fit", length=48, packing="fit").counts
    assert stream.padding < 48
    assert stream.rows_cut > fit.rows_cut
    assert stream.tokens == fit.tokens


def test_the_summary_says_what_was_packed(data: Path, words: Path, tmp_path: Path):
    windows = tokenized(data, words, tmp_path / "rows", packing="fit")
    metrics = Manifest.read(tmp_path / "rows").summary.metrics
    counts = windows.counts
    assert metrics["tokens"].value == counts.tokens
    assert metrics["padding_share"].value == pytest.approx(1 - counts.tokens / (counts.windows * 32))


def test_windows_know_the_tokenizer_they_came_from(data: Path, words: Path, tmp_path: Path):
    windows = tokenized(data, words, tmp_path / "rows")
    assert (windows.vocab_size, windows.dialect) == (300, "chatml")
    assert windows.tokenizer_digest == tokenizer_digest(words / "tokenizer")


def test_no_rows_are_refused(words: Path, tmp_path: Path):
    empty = tiny_dataset(tmp_path / "raw", [])
    with pytest.raises(UserError, match="nothing to tokenize: the data holds no rows"):
        tokenized(empty, words, tmp_path / "rows")


def test_a_share_that_keeps_no_row_is_refused(data: Path, words: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"40 rows, none of them in share 1e-06"):
        tokenized(data, words, tmp_path / "rows", share=1e-6)


def test_rows_without_anything_to_learn_are_refused(words: Path, tmp_path: Path):
    silent = tiny_dataset(tmp_path / "raw", [Row(id="row", messages=(Message("user", "hello?"),))])
    with pytest.raises(UserError, match="tokens carries a loss weight"):
        tokenized(silent, words, tmp_path / "rows")


@pytest.mark.parametrize("values", [{"length": 1}, {"share": 0.0}, {"share": 1.5}, {"packing": "loose"}])
def test_values_without_sense_are_refused(data: Path, words: Path, tmp_path: Path, values: dict[str, Any]):
    with pytest.raises(ValidationError):
        tokenized(data, words, tmp_path / "rows", **values)


def test_a_row_the_template_cannot_write_stops_the_work_unless_it_may_be_dropped(words: Path, tmp_path: Path):
    call = Row(id="call", messages=(Message("user", "now?"), Message("tool", "12:00"), Message("assistant", "noon")))
    mixed = tiny_dataset(tmp_path / "raw", [*ROWS, call])
    with pytest.raises(UserError, match="row call"):
        tokenized(mixed, words, tmp_path / "stopped")
    windows = tokenized(mixed, words, tmp_path / "rows", unwritable="drop")
    summary = Manifest.read(tmp_path / "rows").summary
    assert summary.metrics["rows_dropped"].value == 1
    assert summary.facts["dropped"] == {"a tool call": 1}
    assert set(row_order(windows)) == {row.id for row in ROWS}


def test_rows_of_which_the_template_can_write_none_are_refused_with_the_reasons(words: Path, tmp_path: Path):
    calls = [Row(id=str(n), messages=(Message("tool", "12:00"), Message("assistant", "noon"))) for n in range(3)]
    with pytest.raises(UserError, match="can write none of 3 rows \\(3 × a tool call\\)"):
        tokenized(tiny_dataset(tmp_path / "raw", calls), words, tmp_path / "rows", unwritable="drop")
