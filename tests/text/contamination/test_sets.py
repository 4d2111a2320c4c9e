"""Evaluation sets as people have them: which field is asked, what a file is called, and what stops."""

import csv
import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from demiurgic.core.errors import UserError
from demiurgic.text.contamination.sets import digests_of, read_set, scanner_of, set_files

FORMS = [
    ({"task_id": "HumanEval/7", "prompt": "def f():\n", "entry_point": "f"}, "HumanEval/7", "def f():\n", ""),
    ({"task_id": 11, "text": "Write f.", "code": "x", "test_list": []}, "11", "Write f.", ""),
    ({"question": "How many?", "answer": "4"}, "1", "How many?", ""),
    ({"question": "Which?", "choices": ["a", "b"], "answer": 1}, "1", "Which?", "a\nb"),
    ({"question": "Which?", "A": "w", "B": "x", "C": "y", "D": "z", "answer": "A"}, "1", "Which?", "w\nx\ny\nz"),
    ({"id": "q9", "question": "Which?", "choices": {"label": ["A"], "text": ["this"]}}, "q9", "Which?", "this"),
    ({"input": "not ( True ) is", "target": "False"}, "1", "not ( True ) is", ""),
    ({"ID": "chal-1", "Body": "He had 3.", "sQuestion": "How many?"}, "chal-1", "He had 3.\nHow many?", ""),
    ({"sQuestion": "How many?", "lSolutions": ["4"], "iIndex": 3}, "1", "How many?", ""),
    ({"original_text": "He had 3.", "ans": 3}, "1", "He had 3.", ""),
    ({"instruction": "Add.", "input": "1 2", "output": "3"}, "1", "Add.\n1 2", ""),
    ({"goal": "Clean a cage", "sol1": "a", "sol2": "b", "label": 0}, "1", "Clean a cage", "a\nb"),
    ({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}, "1", "Hi", ""),
]


@pytest.mark.parametrize(("record", "name", "question", "choices"), FORMS)
def test_a_known_form_says_what_is_asked(tmp_path: Path, record, name, question, choices):
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps(record) + "\n")
    (item,) = read_set(path, benchmark="set")
    assert (item.benchmark, item.name, item.question, item.choices) == ("set", name, question, choices)


def test_an_object_with_examples_is_read_as_they_are(tmp_path: Path):
    path = tmp_path / "snarks.json"
    path.write_text(json.dumps({"canary": "c", "examples": [{"input": "Which?", "target": "A"}] * 2}))
    assert [item.name for item in read_set(path, benchmark="bbh")] == ["1", "2"]


def test_every_type_of_file_gives_the_same_questions(tmp_path: Path):
    asked = ["How many eggs?", "Wie viele Äpfel?"]
    records = [{"question": question, "answer": "4"} for question in asked]
    (tmp_path / "a.json").write_text(json.dumps(records))
    lines = "".join(json.dumps(record) + "\n" for record in records)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as packed:
        packed.write(lines)
    parquet.write_table(pa.Table.from_pylist(records), tmp_path / "c.parquet")
    with (tmp_path / "d.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["question", "answer"])
        writer.writeheader()
        writer.writerows(records)
    found = {name: [item.question for item in read_set(path, benchmark=name)]
             for name, path in set_files(["*"], base=tmp_path).items()}  # fmt: skip
    assert found == dict.fromkeys("abcd", asked)


def test_files_are_called_by_the_path_below_what_was_named(tmp_path: Path):
    for name in ("sets/bbh/snarks.json", "sets/gsm8k/test.jsonl", "sets/gsm8k/LICENSE"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert list(set_files(["sets"], base=tmp_path)) == ["sets/bbh/snarks", "sets/gsm8k/test"]
    assert list(set_files(["sets/*/*"], base=tmp_path)) == ["bbh/snarks", "gsm8k/test"]
    assert list(set_files(["sets/gsm8k/test.jsonl"], base=tmp_path)) == ["test"]


def test_a_field_that_a_person_names_is_asked(tmp_path: Path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"riddle": "What has keys?", "notes": "x"}\n')
    assert next(read_set(path, benchmark="own", field="riddle")).question == "What has keys?"
    with pytest.raises(UserError, match='has no field "ridle"; it has riddle, notes'):
        list(read_set(path, benchmark="own", field="ridle"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"riddle": "What has keys?", "notes": "x"}\n',
            "its fields are riddle, notes, and none is surely the question",
        ),
        ('{"question": "a"}\n{"query": "b"}\n', "record 2 lacks question, which the first record has"),
        ('{"question": "a"}\n{"question": \n', "record 2 cannot be read: not JSON"),
        ('{"question": {"a": 1}}\n', '"question" is dict; wanted a text'),
        ("[1]\n", "wanted an object with fields, found list"),
    ],
)
def test_a_set_that_cannot_be_read_whole_stops(tmp_path: Path, text: str, said: str):
    path = tmp_path / "set.jsonl"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        list(read_set(path, benchmark="set"))
    assert said in str(caught.value)


def test_a_table_without_a_header_is_told_so(tmp_path: Path):
    (tmp_path / "mmlu.csv").write_text("Which gas do plants take in?,oxygen,carbon dioxide,neon,argon,B\n" * 2)
    with pytest.raises(UserError, match="A table without a header line"):
        list(read_set(tmp_path / "mmlu.csv", benchmark="mmlu"))


@pytest.mark.parametrize(("pattern", "said"), [("no.jsonl", "does not exist"), ("*.jsonl", "no file of a known type")])
def test_a_path_that_leads_nowhere_is_a_mistake(tmp_path: Path, pattern: str, said: str):
    with pytest.raises(UserError, match=said):
        set_files([pattern], base=tmp_path)


def test_a_changed_file_has_another_digest_and_another_index(tmp_path: Path):
    path = Path(shutil.copy(Path(__file__).parents[2] / "toy_benchmark" / "sums.jsonl", tmp_path))

    def found(text: str) -> bool:
        settings = {"n": 8, "template_items": 10, "coverage": 0.5, "fuzzy": 0.7, "field": None}
        return scanner_of(["sums.jsonl"], [], base=tmp_path, **settings).ask(text) is not None

    text = json.loads(path.read_text().splitlines()[0])["question"]
    before = digests_of(["sums.jsonl"], base=tmp_path)
    assert found(text)
    path.write_text(path.read_text().splitlines()[1] + "\n")
    assert not found(text)
    assert digests_of(["sums.jsonl"], base=tmp_path) != before
