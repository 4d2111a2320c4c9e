import json
from contextlib import closing
from dataclasses import replace

import pytest

from demiurgic.chat.session import Session
from demiurgic.chat.transcript import load, save
from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, read_row
from demiurgic.providers.scripted import Script, Scripted
from demiurgic.run.context import Context


def talked(*questions: str, answers: tuple[str, ...] = ("one", "two", "three"), system: str = "") -> Session:
    session = Session(Scripted(Script(answers)), system=system)
    for question in questions:
        list(session.answer(question))
    return session


def test_a_saved_conversation_comes_back_as_it_was(tmp_path):
    session = talked("a?\nb", "ü?", system="Be brief.")
    assert save(session, tmp_path / "talk.jsonl", label="student") == 2
    transcript = load(tmp_path / "talk.jsonl")
    assert transcript.system == "Be brief."
    assert [(turn.question, turn.answer, turn.ending) for turn in transcript.turns] == [
        ("a?\nb", "one", "stop"),
        ("ü?", "two", "stop"),
    ]


def test_the_file_is_one_row_that_says_who_answered(tmp_path):
    save(talked("a?"), tmp_path / "talk.jsonl", label="student")
    row = read_row(json.loads((tmp_path / "talk.jsonl").read_text()), id="unused")
    assert row.id.startswith("chat:")
    assert (row.source, row.teacher) == ("chat", "student")
    assert row.messages == (Message("user", "a?"), Message("assistant", "one"))
    assert row.facts["identity"]["provider"] == "scripted"


def test_a_saved_conversation_can_be_collected(tmp_path):
    from demiurgic.collect.collect import STAGE
    from demiurgic.core.artifacts import Dataset
    from demiurgic.run.step import run_stage
    from tiny_models import QUIET

    save(talked("a?"), tmp_path / "talk.jsonl", label="student")
    source = {"use": "files", "paths": [str(tmp_path / "talk.jsonl")], "license": "CC0-1.0"}
    assert isinstance(QUIET, Context)
    folder = run_stage(STAGE, {"source": source}, tmp_path / "rows", context=QUIET)
    assert [row.answer() for row in Dataset.open(folder).rows()] == ["one"]


def test_an_interrupted_answer_is_marked_and_has_no_weight(tmp_path):
    session = talked("a?", answers=("one two three four",))
    session.reset()
    with closing(session.answer("a?")) as pieces:
        next(pieces)
    save(session, tmp_path / "talk.jsonl", label="student")
    row = read_row(json.loads((tmp_path / "talk.jsonl").read_text()), id="unused")
    assert row.messages[1].weight == 0.0
    assert load(tmp_path / "talk.jsonl").turns[0].ending == "interrupted"


@pytest.mark.parametrize("ending", ["length", "refused"])
def test_an_answer_that_the_model_did_not_end_has_no_weight_and_comes_back_as_what_it_is(tmp_path, ending):
    session = talked("a?")
    session.turns[0] = replace(session.turns[0], ending=ending)
    save(session, tmp_path / "talk.jsonl", label="student")
    row = read_row(json.loads((tmp_path / "talk.jsonl").read_text()), id="unused")
    assert row.messages[1].weight == 0.0
    assert load(tmp_path / "talk.jsonl").turns[0].ending == ending


def test_an_answer_whose_weight_was_taken_away_does_not_come_back_as_one_to_learn_from(tmp_path):
    path = tmp_path / "talk.jsonl"
    save(talked("a?"), path, label="student")
    saved = json.loads(path.read_text())
    saved["messages"][1]["weight"] = 0
    path.write_text(json.dumps(saved))
    assert load(path).turns[0].ending == "interrupted"


def test_a_file_that_is_there_is_replaced_only_when_told(tmp_path):
    path = tmp_path / "talk.jsonl"
    save(talked("a?"), path, label="student")
    before = path.read_text()
    with pytest.raises(UserError, match="exists already.*/save!"):
        save(talked("b?"), path, label="student")
    assert path.read_text() == before
    save(talked("b?"), path, label="student", replace=True)
    assert load(path).turns[0].question == "b?"
    assert [file.name for file in tmp_path.iterdir()] == ["talk.jsonl"]


@pytest.mark.parametrize(
    ("name", "says"), [("talk.txt", "does not end in .jsonl"), ("nowhere/talk.jsonl", "nowhere does not exist")]
)
def test_a_name_that_cannot_be_saved_under(tmp_path, name, says):
    with pytest.raises(UserError, match=says):
        save(talked("a?"), tmp_path / name, label="student")


def test_an_empty_conversation_is_not_saved(tmp_path):
    with pytest.raises(UserError, match="conversation is empty"):
        save(talked(), tmp_path / "talk.jsonl", label="student")


QUESTION, ANSWER = {"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"messages": [{"role": "us', "line 1 is not JSON"),
        (b'{"text": "\xff"}', "line 1 is not UTF-8"),
        ("\n\n", "holds 0 rows"),
        (json.dumps({"messages": [QUESTION, ANSWER]}) + "\n" + json.dumps({"text": "x"}), "holds 2 rows"),
        (json.dumps({"text": "once upon a time"}), "plain text without messages"),
        (json.dumps({"prompt": "a?", "answer": "b"}), "unknown field answer"),
        (json.dumps({"messages": [QUESTION]}), "take turns"),
        (json.dumps({"messages": [QUESTION, QUESTION, ANSWER, ANSWER]}), "take turns"),
        (json.dumps({"messages": [QUESTION, {**ANSWER, "tool_calls": [{"name": "f"}]}]}), "uses tools"),
        (json.dumps({"messages": [QUESTION, {**ANSWER, "reasoning": "hm"}]}), "reasoning"),
        (json.dumps([1, 2]), "not an object"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_with_the_reason(tmp_path, content, says):
    path = tmp_path / "talk.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=says):
        load(path)


def test_an_empty_or_missing_file_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="is empty"):
        load(tmp_path / "empty.jsonl")
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="does not end in .jsonl"):
        load(tmp_path / "none.txt")
