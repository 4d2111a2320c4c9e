"""The source `files` by format: told by the first records, or named; nothing lost whatever a file holds."""

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demiurgic.collect.collect import STAGE
from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.core.artifacts import Dataset, Manifest
from demiurgic.core.errors import UserError
from demiurgic.core.records import Row
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage
from real_data import real_data

ASKED = {"instruction": "Double it.", "input": "2", "output": "4"}


def read(base: Path, **options):
    return list(SOURCES.choose({"use": "files", **options})(base))


def write(path: Path, *lines) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def said(row: Row) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in row.messages]


def test_each_file_is_told_by_its_own_records(tmp_path):
    write(tmp_path / "a.jsonl", ASKED)
    write(tmp_path / "b.jsonl", {"question": "2 + 2?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"})
    first, second = read(tmp_path, paths=["*.jsonl"], format="auto", name="mine", license="MIT", teacher="me")
    assert said(first) == [("user", "Double it.\n\n2"), ("assistant", "4")]
    assert (first.id, first.source, first.license, first.teacher) == ("mine/a.jsonl:1", "mine", "MIT", "me")
    assert said(second)[1] == ("assistant", "2 + 2 = 4\n#### 4")
    assert (second.domain, second.facts) == ("mathematics", {"final_answer": "4"})


def test_a_format_takes_its_options(tmp_path):
    write(tmp_path / "a.jsonl", {"question": "2 + 2?", "answer": "<<2+2=4>>4\n#### 4"})
    (row,) = read(tmp_path, paths=["a.jsonl"], format={"use": "gsm8k", "calculations": True})
    assert said(row)[1] == ("assistant", "<<2+2=4>>4\n#### 4")


def test_a_file_of_two_formats_is_refused_with_the_lines_to_write(tmp_path):
    write(tmp_path / "a.jsonl", ASKED, {"instruction": "Hi", "input": "", "response": "Hello"})
    with pytest.raises(
        UserError, match="1 like alpaca, 1 like gpteacher look. .* format: alpaca, or format: gpteacher"
    ):
        read(tmp_path, paths=["a.jsonl"], format="auto")


def test_records_that_lack_an_optional_field_do_not_make_another_format(tmp_path):
    write(tmp_path / "a.jsonl", ASKED, {"instruction": "Hi", "output": "Hello"})
    assert [said(row)[1][1] for row in read(tmp_path, paths=["a.jsonl"], format="auto")] == ["4", "Hello"]


def test_a_file_of_no_known_format_is_answered_with_its_fields_and_the_formats(tmp_path):
    write(tmp_path / "a.jsonl", {"ask": "Hi", "answer": "Hello"})
    with pytest.raises(
        UserError, match=r"fields ask, answer\. Say .* columns: \{prompt: \.\.\., answer: answer\}.*alpaca"
    ):
        read(tmp_path, paths=["a.jsonl"], format="auto")


def test_a_few_damaged_records_do_not_hide_the_format_and_are_bad_rows(tmp_path):
    write(tmp_path / "a.jsonl", ASKED, {"instruction": "Hi"}, 5, {**ASKED, "output": 4}, {**ASKED, "output": None})
    rows = read(tmp_path, paths=["a.jsonl"], format="auto")
    assert [row.reason if isinstance(row, BadRow) else said(row)[1][1] for row in rows] == [
        "4", "no output", "not an object", "output is not text", "",
    ]  # fmt: skip


def test_an_unknown_format_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match='no format "alpacca". Did you mean "alpaca"'):
        read(tmp_path, paths=["a.jsonl"], format="alpacca")


def test_without_a_format_the_answer_names_the_one_it_looks_like(tmp_path):
    write(tmp_path / "a.jsonl", ASKED)
    with pytest.raises(UserError, match="this looks like format: alpaca"):
        read(tmp_path, paths=["a.jsonl"])


def test_kept_fields_go_into_meta_and_a_missing_one_is_a_reason(tmp_path):
    write(tmp_path / "a.jsonl", {**ASKED, "level": 3}, ASKED)
    good, bad = read(tmp_path, paths=["a.jsonl"], format="alpaca", keep=["level"])
    assert (good.facts, bad.reason) == ({"level": 3}, "no column level")


@pytest.mark.parametrize("meta", [{"level": 3}, '{"level": 3}'])
def test_kept_fields_stand_beside_the_meta_that_a_row_has(tmp_path, meta):
    write(tmp_path / "a.jsonl", {"text": "Once.", "meta": meta, "source": "tales"})
    (row,) = read(tmp_path, paths=["a.jsonl"], keep=["source"])
    assert row.facts == {"level": 3, "source": "tales"}


@pytest.mark.parametrize(("meta", "reason"), [([1], "meta is not an object"), ("{", "meta is not JSON")])
def test_kept_fields_beside_a_meta_that_is_none_are_a_bad_row(tmp_path, meta, reason):
    write(tmp_path / "a.jsonl", {"text": "Once.", "id": "a"}, {"text": "Once.", "id": "b", "meta": meta})
    _, bad = read(tmp_path, paths=["a.jsonl"], keep=["id"])
    assert bad.reason == reason


def test_own_rows_in_one_file_with_messages_of_openai_keep_all_they_say(tmp_path):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    facts = {"source": "tales", "license": "MIT", "scores": {"quality": 1.0}, "meta": {"level": 3}, "rejected": turns}
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, turns[1]]
    write(tmp_path / "a.jsonl", {"id": "x", "messages": turns, **facts}, {"id": "y", "messages": parts, **facts})
    first, second = read(tmp_path, paths=["a.jsonl"], format="auto")
    assert (first.id, second.id) == ("x", "y")
    for row in (first, second):
        assert (row.source, row.license, row.scores, row.facts) == ("tales", "MIT", {"quality": 1.0}, {"level": 3})
        assert [message.content for message in row.messages] == ["Hi", "Hello"]
        assert len(row.rejected) == 2


def test_a_second_row_with_an_id_is_named_by_its_file_and_position(tmp_path):
    write(tmp_path / "a.jsonl", {"id": "x", "text": "Once.", "source": "tales"}, {"text": "Twice."})
    write(tmp_path / "b.jsonl", {"text": "Thrice."}, {"id": "x", "text": "Once more.", "source": "tales"})
    *_, bad = read(tmp_path, paths=["*.jsonl"])
    assert (bad.file, bad.position, bad.reason) == ("b.jsonl", 2, "an id that an earlier row has")


def test_format_and_columns_together_are_refused(tmp_path):
    write(tmp_path / "a.jsonl", ASKED)
    with pytest.raises(UserError, match="Leave one away"):
        read(tmp_path, paths=["a.jsonl"], format="alpaca", columns={"text": "output"})


def test_tools_calls_and_weights_of_openai_come_in(tmp_path):
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    tool = {"type": "function", "function": {"name": "add"}}
    messages = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "tool_calls": [call], "weight": 0},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "assistant", "content": "1", "weight": 1},
    ]
    write(tmp_path / "a.jsonl", {"messages": messages, "tools": [tool], "parallel_tool_calls": False})
    (row,) = read(tmp_path, paths=["a.jsonl"], format="auto")
    assert (row.messages[1].tool_calls[0].name, row.messages[1].weight, row.messages[1].content) == ("add", 0, "")
    assert json.loads(row.tools or "") == [tool]
    assert row.facts == {"parallel_tool_calls": False}


def test_calls_of_sharegpt_get_ids_that_their_answers_name(tmp_path):
    turns = [
        {"from": "human", "value": "Add."},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
        {"from": "observation", "value": "1"},
        {"from": "gpt", "value": "1"},
    ]
    write(tmp_path / "a.jsonl", {"conversations": turns, "tools": '[{"name": "add"}]'})
    (row,) = read(tmp_path, paths=["a.jsonl"], format="auto")
    assert row.messages[1].tool_calls[0].id == row.messages[2].tool_call_id
    assert [message.role for message in row.messages] == ["user", "assistant", "tool", "assistant"]


def test_the_rejected_end_of_a_conversation_is_kept_beside_the_chosen(tmp_path):
    shared = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant: "
    write(tmp_path / "a.jsonl", {"chosen": shared + "Goodbye\n\nBe well", "rejected": shared + "No"})
    (row,) = read(tmp_path, paths=["a.jsonl"], format="hh")
    assert [message.content for message in row.messages] == ["Hi", "Hello", "Bye", "Goodbye\n\nBe well"]
    assert [message.content for message in row.rejected] == ["Hi", "Hello", "Bye", "No"]


def test_a_file_that_breaks_off_is_said_and_counted(tmp_path, capsys):
    lines = "".join(json.dumps({**ASKED, "input": str(math.sin(n))}) + "\n" for n in range(400))
    packed = gzip.compress(lines.encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed[:-200])
    source = {"use": "files", "paths": ["a.jsonl.gz"], "format": "auto"}
    out = run_stage(STAGE, {"source": source}, tmp_path / "out", context=Context(base=tmp_path))
    summary = Manifest.read(out).summary
    assert summary.facts["bad_rows"] == {"the file breaks off here": 1}
    assert summary.facts["cut_off"] == {"a.jsonl.gz": summary.metrics["rows"].value + 1}
    assert "a.jsonl.gz breaks off at row" in capsys.readouterr().err


GOOD = json.dumps(ASKED).encode()
ODD = (
    GOOD, b"{", b"[]", b"5", b"null", b"\x00\xff\xfe", b'{"instruction": "\xff"}', b'{"id": "x", "messages": []}',
    b'{"instruction": 5, "input": "", "output": ""}', b'{"instruction": "a\\u0000", "input": "", "output": ""}',
    b'{"instruction": "\\ud800", "input": "", "output": "b"}', b'{"instruction": "a", "input": [], "output": {}}',
)  # fmt: skip
NOISE = st.binary(max_size=30).map(lambda noise: noise.replace(b"\n", b" ").replace(b"\r", b" "))
LINES = st.lists(st.sampled_from(ODD) | NOISE, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_whatever_the_lines_are_rows_and_bad_rows_are_as_many_as_the_records(tmp_path, lines):
    lines = [GOOD, *lines]
    (tmp_path / "fuzz.jsonl").write_bytes(b"\n".join(lines))
    rows = read(tmp_path, paths=["fuzz.jsonl"], format="alpaca")
    assert len(rows) == sum(bool(line.strip()) for line in lines)
    assert sum(isinstance(row, Row) for row in rows) >= lines.count(GOOD)


def test_a_row_of_ten_megabytes_comes_in_whole(tmp_path):
    write(tmp_path / "a.jsonl", {**ASKED, "output": "é" * 5_000_000})
    source = {"use": "files", "paths": ["a.jsonl"], "format": "auto"}
    out = run_stage(STAGE, {"source": source}, tmp_path / "out", context=Context(base=tmp_path))
    (row,) = Dataset.open(out).rows()
    assert len(row.answer()) == 5_000_000


OTHER_FORMS = ("seed_tasks.jsonl", "example_model_solutions.jsonl", "mawps_trainset.json")
"""Files of the real data that are of no known format."""


@pytest.mark.parametrize(
    ("folder", "num_rows"),
    [
        ("alpaca_en", 52_002), ("codealpaca", 6_552), ("gpteacher", 17_277), ("gsm8k_train", 7_473), ("hh_rlhf", 2_312),
        ("llm_adapters_train", 21_014), ("tau_bench", 200),
    ],
)  # fmt: skip
def test_the_format_of_real_files_is_told_and_every_record_is_a_row(folder, num_rows):
    base = real_data(folder)
    paths = sorted(path for path in base.iterdir() if path.suffix in (".json", ".jsonl"))
    rows = read(base, paths=[path.name for path in paths if path.name not in OTHER_FORMS], format="auto")
    assert not [row for row in rows if isinstance(row, BadRow)]
    assert len(rows) == num_rows
    assert len({row.id for row in rows}) == num_rows
    for path in paths:
        if path.name in OTHER_FORMS:
            with pytest.raises(UserError, match="no known format"):
                read(base, paths=[path.name], format="auto")
