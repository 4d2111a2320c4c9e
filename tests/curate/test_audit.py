"""The stage `audit`: what is wrong with a finished dataset is found, measured with an interval, and shown."""

import json
from dataclasses import replace

import pytest

from demiurgic.collect.collect import STAGE as COLLECT
from demiurgic.core.artifacts import Dataset, Manifest
from demiurgic.core.errors import UserError
from demiurgic.curate.audit.alignment import align, form_asked
from demiurgic.curate.audit.audit import STAGE
from demiurgic.curate.mix.mix import STAGE as MIX
from demiurgic.run.context import Context
from demiurgic.run.gates import Gate
from demiurgic.run.gates import judge as judge_gates
from demiurgic.run.step import run_stage
from real_data import needs_real_data, pairs
from tiny_rows import chat

SUBJECTS = ("river", "planet", "engine", "garden", "violin", "harbour", "glacier", "market", "desert", "library")


def sound(number):
    """A question and an answer in whole sentences that takes it up; no two share three words in a row for long."""
    subject, other = SUBJECTS[number % 10], SUBJECTS[(number // 10 + number) % 10]
    words = " ".join(f"{subject}{(number * 7 + n) % 89}{other}{n}" for n in range(12))
    return chat(
        f"Explain how the old {subject} number {number} beside the {other} came to be so well known.",
        f"The {subject} is known for its {other}. People speak of {words}. It was first described in {1500 + number}.",
        id=f"sound:{number}",
        source="list",
        meta='{"language": "en"}',
    )


def collected(folder, rows, name="raw"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    source = {"use": "files", "paths": [f"{name}.jsonl"]}
    return run_stage(COLLECT, {"source": source}, folder / name, context=Context(base=folder))


def audited(folder, rows, **values):
    return run_stage(STAGE, {"data": str(collected(folder, rows)), **values}, folder / "audit")


def metrics(out):
    return Manifest.read(out).summary.metrics


def worst(out):
    return {row.id: row.facts["audit"]["problems"] for row in Dataset.open(out / "worst").rows()}


BAD = {
    "empty": chat(
        "What is the capital of France called today?", " ", id="empty", source="list", meta='{"language": "en"}'
    ),
    "echo": chat(
        "Name the tallest mountain.", "Name the tallest mountain!", id="echo", source="list", meta='{"language": "en"}'
    ),
    "german": chat(
        "Was ist ein Fluss im Gebirge?", "Ein Fluss fließt.", id="german", source="list", meta='{"language": "de"}'
    ),
    "form": chat(
        "Write a Python function to add two numbers.", "That is easy to do.", id="form", meta='{"language": "en"}'
    ),
}


def test_each_fault_is_found_in_its_row_and_counted(tmp_path):
    out = audited(tmp_path, [*(sound(n) for n in range(40)), *BAD.values()])
    found = worst(out)
    assert "empty answer" in found["empty"]
    assert "answer repeats the question" in found["echo"]
    assert "language de" in found["german"]
    assert found["form"] == ["form not as asked: code"]
    said = metrics(out)
    assert (said["empty_answers"].value, said["echoes"].value) == (1 / 44, 1 / 44)
    assert said["language_share"].value == 43 / 44
    assert said["form_as_asked"].value == 0
    assert said["aligned"].value == 41 / 44


def test_copies_are_found_among_all_rows_and_not_only_among_those_drawn(tmp_path):
    rows = [sound(n) for n in range(60)]
    near = chat(rows[3].messages[0].content, rows[3].messages[1].content + " Truly.", id="near", source="list")
    same = chat(rows[4].messages[0].content, rows[4].messages[1].content, id="same", source="list")
    out = audited(tmp_path, [*rows, near, same], sample=62, worst=62)
    found = worst(out)
    assert any(problem.endswith("like near") for problem in found["sound:3"])
    assert "1.00 like same" in found["sound:4"]
    assert metrics(out)["near_copies"].value == 4 / 62
    assert metrics(out)["exact_copies"].value == 1 / 62


def test_rows_that_a_mix_repeated_on_purpose_are_no_copies(tmp_path):
    raw = collected(tmp_path, [sound(n) for n in range(30)])
    mixed = run_stage(
        MIX, {"data": [str(raw)], "by": "source", "shares": {"list": 1}, "rows": 60, "max_epochs": 2}, tmp_path / "m"
    )
    out = run_stage(STAGE, {"data": str(mixed / "rows"), "sample": 60}, tmp_path / "audit")
    assert metrics(out)["exact_copies"].value == 0
    assert metrics(out)["near_copies"].value == 0


def test_every_number_of_the_sample_has_an_interval_around_it_and_gates_can_bound_it(tmp_path):
    out = audited(tmp_path, [sound(n) for n in range(200)], sample=50)
    found = metrics(out)
    assert (found["rows"].value, found["sampled"].value) == (200, 50)
    for name in ("language_share", "coherence", "incoherent", "aligned", "near_copies", "entropy_bits", "distinct_2"):
        assert found[name].low <= found[name].value <= found[name].high, name
        assert found[name].low < found[name].high, name
        assert found[name].n == 50
    passed, missed = judge_gates(
        Manifest.read(out).summary, [Gate(metric="aligned", min=0.8), Gate(metric="entropy_bits", min=40)]
    )
    assert passed.passed
    assert not missed.passed


def test_entropy_of_the_whole_lies_in_the_interval_of_the_sample(tmp_path):
    rows = [chat("Say it", " ".join(SUBJECTS[(n * k) % 10] for k in range(1, 8)), id=str(n)) for n in range(400)]
    whole = audited(tmp_path / "a", rows, sample=400)
    part = audited(tmp_path / "b", rows, sample=100)
    assert (
        metrics(part)["entropy_bits"].low <= metrics(whole)["entropy_bits"].value <= metrics(part)["entropy_bits"].high
    )


def test_the_same_seed_gives_the_same_audit_and_another_draws_other_rows(tmp_path):
    data = str(collected(tmp_path, [sound(n) for n in range(120)]))
    runs = [
        run_stage(STAGE, {"data": data, "sample": 30}, tmp_path / f"s{n}", seed=seed)
        for n, seed in enumerate((1, 1, 2))
    ]
    pages = [(out / "audit.json").read_text() for out in runs]
    assert pages[0] == pages[1] != pages[2]


def test_the_page_shows_the_worst_rows_and_no_text_breaks_out_of_it(tmp_path):
    fenced = chat("Write a Python function to add.", "No ```` ```\n# not a heading\n```", id="fenced")
    out = audited(tmp_path, [*(sound(n) for n in range(20)), fenced, BAD["empty"]])
    page = (out / "audit.md").read_text(encoding="utf-8")
    assert "### fenced" in page and "### empty" in page
    assert "`````text\nNo ```` ```" in page
    assert "| near_copies | 0 |" in page


def test_plain_texts_are_audited_without_what_needs_a_question(tmp_path):
    from demiurgic.core.records import Row

    rows = [Row(f"t:{n}", text=sound(n).messages[1].content, meta='{"language": "en"}') for n in range(25)]
    found = metrics(audited(tmp_path, rows))
    assert "aligned" not in found
    assert found["language_share"].value == 1


def test_a_dataset_of_one_row_is_refused(tmp_path):
    with pytest.raises(UserError, match="an audit wants at least 2"):
        audited(tmp_path, [sound(1)])


@pytest.mark.parametrize(
    ("question", "form"),
    [
        ("Give me the result as JSON.", "JSON"),
        ("Describe the planets in a markdown table", "table"),
        ("Write a JavaScript function that sorts", "code"),
        ("Answer in one word: is it?", "one word"),
        ("Explain rain in one sentence.", "one sentence"),
        ("List five reasons", "list"),
        ("They list 5 houses for sale each week. How many in a month?", ""),
        ("How do I read a JSON file?", ""),
        ("Write one sentence each about cats.", ""),
    ],
)
def test_the_form_that_a_question_asks_for_is_told(question, form):
    assert form_asked(question) == form


@pytest.mark.parametrize(
    ("question", "answer", "problems"),
    [
        ("Return it as JSON.", '```json\n{"a": [1]}\n```', ()),
        ("Return it as JSON.", "a: 1", ("form not as asked: JSON",)),
        ("List three fruits", "Apples, pears and plums.", ()),
        ("List three fruits", "Apples are good.", ("form not as asked: list",)),
        ("Name two rivers", "1. Rhine 2. Elbe", ()),
        ("Summarize in one sentence.", "It rains. It pours.", ("form not as asked: one sentence",)),
        ("Which city hosts the Louvre museum collection?", "Paris", ()),
        (
            "Which city hosts the Louvre museum collection?",
            "My " + "dog likes to run and bark " * 3,
            ("takes up no word asked about",),
        ),
        ("介绍一下长城的历史", "长城始建于春秋战国时期。", ()),
        ("Hello", "", ("empty answer",)),
    ],
)
def test_an_answer_is_held_against_its_question(question, answer, problems):
    assert align(question, answer).problems == problems


@needs_real_data
def test_on_real_rows_hardly_any_answer_is_said_to_have_another_form_than_asked():
    found = [align(prompt, answer) for prompt, answer in pairs("alpaca_en", limit=8000)]
    formed = [each for each in found if each.form]
    assert len(formed) > 400
    assert sum(any("form" in problem for problem in each.problems) for each in formed) < 0.05 * len(formed)
    assert sum("empty answer" in each.problems for each in found) == 6


GERMAN = "Der Fluss entspringt im Gebirge und fließt durch das ganze Land bis in das Meer."


def test_where_no_row_names_its_language_it_is_told_from_what_the_rows_say(tmp_path):
    rows = [replace(sound(n), meta="{}") for n in range(25)]
    sums = [chat("12 + 30 =", "42", id="sum")]
    out = audited(tmp_path, [*rows, *sums, chat("Wo entspringt der Fluss?", GERMAN, id="german")])
    assert metrics(out)["language_share"].value == 26 / 27
    assert "language de" in worst(out)["german"]
    assert Manifest.read(out).summary.facts["languages"] == {"en": 25, "untold": 1, "de": 1}
