"""The stage `collect`: good rows kept, bad ones counted and written aside, too many of them a stop."""

import json

import pytest

from demiurgic.collect.collect import STAGE
from demiurgic.core.artifacts import Dataset, Manifest
from demiurgic.core.errors import UserError
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage

HELLO = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}], "license": "MIT"}


def lines(folder, *values):
    text = (value if isinstance(value, str) else json.dumps(value) for value in values)
    (folder / "a.jsonl").write_text("".join(f"{line}\n" for line in text), encoding="utf-8")


def collect(folder, **values):
    context = Context(base=folder)
    return run_stage(
        STAGE, {"source": {"use": "files", "paths": ["a.jsonl"]}, **values}, folder / "out", context=context
    )


def aside(folder):
    return [json.loads(line) for line in (folder / "bad_rows.jsonl").read_text(encoding="utf-8").splitlines()]


def test_rows_become_a_dataset_with_its_counts(tmp_path):
    lines(tmp_path, HELLO, {"text": "Once.", "source": "tales"})
    out = collect(tmp_path)
    assert [row.id for row in Dataset.open(out).rows()] == ["a.jsonl:1", "a.jsonl:2"]
    summary = Manifest.read(out).summary
    assert {name: metric.value for name, metric in summary.metrics.items()} == {
        "rows": 2, "bad_rows": 0, "bad_share": 0, "answer_bytes": len("HelloOnce."),
    }  # fmt: skip
    assert summary.facts["licenses"] == {"MIT": 1, "unknown": 1}
    assert summary.facts["sources"] == {"a.jsonl": 1, "tales": 1}


def test_bad_rows_are_counted_by_reason_and_written_aside(tmp_path):
    lines(tmp_path, HELLO, "{", {"messages": 5}, {"messages": 6})
    out = collect(tmp_path, max_bad_share=0.8)
    assert Manifest.read(out).summary.facts["bad_rows"] == {
        "messages is not a list": 2,
        "not JSON: Expecting property name enclosed in double quotes": 1,
    }
    assert [(line["file"], line["row"]) for line in aside(out)] == [("a.jsonl", 2), ("a.jsonl", 3), ("a.jsonl", 4)]
    assert aside(out)[1] == {"file": "a.jsonl", "row": 3, "reason": "messages is not a list", "raw": '{"messages": 5}'}


def test_a_summary_names_the_most_frequent_and_counts_the_others(tmp_path):
    pages = [f"https://example.com/{n:03}" for n in range(150)]
    lines(tmp_path, *({"text": page, "source": page} for page in pages), {"text": "Once.", "source": pages[149]})
    sources = Manifest.read(collect(tmp_path)).summary.facts["sources"]
    assert (len(sources), sources[pages[149]], sources["(others)"], sum(sources.values())) == (101, 2, 50, 151)


def test_too_many_bad_rows_stop_the_step_and_name_the_first(tmp_path):
    lines(tmp_path, HELLO, *["{"] * 5)
    with pytest.raises(UserError) as caught:
        collect(tmp_path)
    message = str(caught.value)
    assert message.startswith(
        "5 of 6 rows (83.3%) cannot be used, where max_bad_share allows 1.0%: a.jsonl, row 2: not JSON"
    )
    assert "(and 2 more)" in message
    (left,) = tmp_path.glob("*/bad_rows.jsonl")
    assert str(left) in message
    assert len(aside(left.parent)) == 5


def test_without_one_good_row_the_step_stops_whatever_share_is_allowed(tmp_path):
    lines(tmp_path, "{")
    with pytest.raises(UserError, match="no good row is left"):
        collect(tmp_path, max_bad_share=1.0)


def test_a_source_without_rows_stops_the_step(tmp_path):
    lines(tmp_path, "")
    with pytest.raises(UserError, match="The source files gave no row"):
        collect(tmp_path)


def test_a_second_row_with_the_same_id_is_bad(tmp_path):
    lines(tmp_path, {**HELLO, "id": "x"}, {**HELLO, "id": "x"})
    out = collect(tmp_path, max_bad_share=0.5)
    assert [row.id for row in Dataset.open(out).rows()] == ["x"]
    assert aside(out)[0]["reason"] == "an id that an earlier row has"


def test_half_a_surrogate_pair_in_a_bad_row_is_written_as_its_escape(tmp_path):
    lines(tmp_path, HELLO, '{"\\ud800": 1}')
    out = collect(tmp_path, max_bad_share=0.5)
    assert aside(out)[0]["raw"] == '{"\ud800": 1}'
    assert Manifest.read(out).summary.facts["bad_rows"] == {"unknown field \\ud800": 1}


def test_the_same_input_gives_the_same_digest(tmp_path):
    lines(tmp_path, HELLO)
    first = Dataset.open(collect(tmp_path)).digest
    (tmp_path / "out").rename(tmp_path / "earlier")
    assert Dataset.open(collect(tmp_path)).digest == first
