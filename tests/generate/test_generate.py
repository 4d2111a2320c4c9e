"""The stage: which rows are asked, what becomes of each answer, and what a second run costs."""

import time

import pytest

from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import RecipeError, UserError
from demiurgic.core.records import Message
from demiurgic.generate.account import Account, Outcome
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import Provider, Reply
from demiurgic.providers.journal import Tally
from demiurgic.providers.scripted import Script, Scripted
from demiurgic.run.context import Context
from demiurgic.run.recipe import load_recipe
from demiurgic.run.step import run_stage
from mock_openai import Fails, MockOpenAI, Says, question
from tiny_rows import chat
from toy_talks import STAGES, digests, numbers, rows, walk

ECHO = "  talks: {use: talks, count: 6}\n  made: {use: generate, prompts: talks, teacher: scripted%s}\n"
MIXED = """\
  talks:
    use: talks
    count: 1
    more:
    - {text: Once upon a time.}
    - {messages: [{role: user, content: "Hi"}, {role: assistant, content: ""}], tools: "[]"}
    - {messages: [{role: system, content: Be kind.}, {role: assistant, content: Hello.}]}
    - {messages: [{role: system, content: Be kind.}, {role: user, content: one two three four five six}]}
    - {messages: [{role: user, content: " "}, {role: assistant, content: Hm.}]}
"""


def test_the_answer_of_a_row_is_left_off_and_the_teachers_stands_in_its_place(tmp_path):
    _, made = walk(tmp_path, ECHO % "")
    first = rows(made)[0]
    assert first.id == "talk:0#0"
    assert first.messages == (Message("user", "Question 0?"), Message("assistant", "Question 0?"))
    assert (first.source, first.license, first.teacher) == ("talks", "CC0-1.0", "scripted turn")
    assert first.facts["generated"] == {
        "prompt": "talk:0",
        "sample": 0,
        "finish": "stop",
        "prompt_tokens": 2,
        "completion_tokens": 2,
    }


def test_rows_stand_in_the_order_of_their_questions(tmp_path):
    def slow_first(body):
        return Says((question(body),), seconds=0.3 if question(body) == "Question 0?" else 0.0)

    with MockOpenAI(slow_first) as mock:
        teacher = f"{{use: openai, model: small, base_url: '{mock.url}'}}"
        _, made = walk(tmp_path, (ECHO % "").replace("scripted", teacher))
    assert [row.id for row in rows(made)] == [f"talk:{number}#0" for number in range(6)]


def test_as_many_questions_are_in_flight_as_the_context_allows(tmp_path):
    with MockOpenAI(Says(seconds=0.05)) as mock:
        teacher = f"{{use: openai, model: small, base_url: '{mock.url}'}}"
        walk(tmp_path, (ECHO % "").replace("scripted", teacher), requests_in_flight=3)
    assert mock.most_open == 3


def test_every_row_is_kept_or_dropped_for_a_reason(tmp_path):
    teacher = "  made: {use: generate, prompts: talks, max_tokens: 3, teacher: {use: scripted, context_length: 10}}\n"
    *_, made = walk(tmp_path, MIXED + teacher)
    assert [row.id for row in rows(made)] == ["talk:0#0"]
    assert {row.id: row.facts["dropped"]["reason"] for row in rows(made, "dropped")} == {
        "more:0": "a plain text asks nothing",
        "more:1": "tools cannot be offered to a teacher yet",
        "more:2": "no question of the user before the answer",
        "more:3#0": "the question and max_tokens (3) do not fit the teacher's context",
        "more:4#0": "the answer is empty",
    }
    assert [numbers(made)[name] for name in ("rows_in", "rows", "dropped", "asked")] == [6, 1, 5, 2]


def test_an_answer_limit_that_leaves_no_room_for_a_question_is_refused_before_the_first(tmp_path):
    teacher = "  made: {use: generate, prompts: talks, teacher: {use: scripted, context_length: 1024}}\n"
    with pytest.raises(UserError, match="max_tokens is 1024, and the teacher's context holds 1024 tokens"):
        walk(tmp_path, MIXED + teacher)


def test_a_count_is_of_questions_and_says_what_it_was_not_chosen_from(tmp_path, capsys):
    made_of = "  made: {use: generate, prompts: talks, teacher: scripted, count: 2, samples: 2}\n"
    *_, made = walk(tmp_path, MIXED + made_of, quiet=False)
    assert numbers(made)["rows_in"] == 4
    assert {row.facts["generated"]["prompt"] for part in ("rows", "dropped") for row in rows(made, part)} < {
        "talk:0",
        "more:3",
        "more:4",
    }
    assert made.manifest.summary.facts["skipped"] == {
        "a plain text asks nothing": 1,
        "no question of the user before the answer": 1,
        "tools cannot be offered to a teacher yet": 1,
    }
    assert "1 × a plain text asks nothing" in capsys.readouterr().err


def test_what_the_row_said_before_is_not_learned_as_the_teachers_words(tmp_path):
    asked = "{role: user, content: %s}"
    talk = f"[{asked % 'Hi'}, {{role: assistant, content: Hello.}}, {asked % 'And?'}]"
    steps = f"  talks: {{use: talks, more: [{{messages: {talk}}}]}}\n"
    *_, made = walk(tmp_path, steps + "  made: {use: generate, prompts: talks, teacher: scripted}\n")
    (row,) = rows(made)
    assert [(m.role, m.content, m.weight) for m in row.messages] == [
        ("user", "Hi", None),
        ("assistant", "Hello.", 0.0),
        ("user", "And?", None),
        ("assistant", "And?", None),
    ]


def test_an_end_of_the_services_own_is_a_counted_reason(tmp_path):
    def said(body):
        return Says(finish="tool_calls") if question(body) == "Question 0?" else Says()

    with MockOpenAI(said) as mock:
        teacher = f"{{use: openai, model: small, base_url: '{mock.url}'}}"
        _, made = walk(tmp_path, (ECHO % "").replace("scripted", teacher))
    assert made.manifest.summary.facts["dropped"] == {'the teacher ended its answer with "tool_calls"': 1}


def test_the_speed_is_that_of_asking_alone(tmp_path):
    def said(body):
        return Says(seconds=0.1)

    with MockOpenAI(said) as mock:
        steps = (ECHO % "").replace("scripted", f"{{use: openai, model: small, base_url: '{mock.url}'}}")
        walk(tmp_path, steps)
        _, made = walk(tmp_path, steps.replace("count: 6", "count: 7"))
    assert 10 < numbers(made)["tokens_per_second"] <= 3 / 0.1
    assert numbers(made)["rows_in"] == numbers(made)["rows"] == 7


@PROVIDERS.register("toy_unmade", needs=["a_package_that_nobody_made"])
def toy_unmade(context: Context) -> Provider:
    """Needs what is not there."""
    raise AssertionError("its package was not missed")


def test_a_package_that_the_teacher_needs_is_missed_before_anything_runs(tmp_path):
    with pytest.raises(UserError, match="needs the package a_package_that_nobody_made"):
        walk(tmp_path, (ECHO % "").replace("scripted", "toy_unmade"))
    assert list((tmp_path / "store").glob("talks-*")) == []


def test_a_teacher_says_which_packages_it_needs():
    config = STAGES["generate"].config
    needs = {
        name: STAGES["generate"].packages(config.model_construct(teacher=PROVIDERS.choose({"use": name, **options})))
        for name, options in {"openai": {"model": "small"}, "scripted": {}}.items()
    }
    assert needs == {"openai": ["pyarrow", "openai"], "scripted": ["pyarrow"]}


def test_a_cut_or_refused_answer_is_no_row_to_train_on_but_can_be_read(tmp_path):
    def said(body):
        cut, refused = Says(("Well, ",), finish="length"), Says((), refusal="No.")
        return {"Question 0?": cut, "Question 1?": refused}.get(question(body), Says())

    with MockOpenAI(said) as mock:
        teacher = f"{{use: openai, model: small, base_url: '{mock.url}'}}"
        _, made = walk(tmp_path, (ECHO % "").replace("scripted", teacher))
    assert {row.answer(): row.facts["dropped"]["reason"] for row in rows(made, "dropped")} == {
        "Well, ": "the answer was cut off at max_tokens",
        "No.": "the teacher refused",
    }
    assert numbers(made)["rows"] == 4


def test_a_smaller_count_is_a_part_of_a_larger_one_and_pays_nothing(tmp_path):
    text = ECHO.replace("count: 6", "count: 40")
    _, ten = walk(tmp_path, text % ", count: 10")
    _, five = walk(tmp_path, text % ", count: 5")
    assert len(rows(five)) == 5
    assert {row.id for row in rows(five)} < {row.id for row in rows(ten)}
    assert (numbers(five)["asked"], numbers(five)["from_journal"]) == (0, 5)


def test_more_questions_than_there_are_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="asks for 7 questions, and the prompts hold 6"):
        walk(tmp_path, ECHO % ", count: 7")


def test_each_question_may_get_several_answers(tmp_path):
    steps = ECHO.replace("scripted", "{use: scripted, answers: [a, b, c]}")
    _, made = walk(tmp_path, steps % ", count: 1, samples: 3, temperature: 0.7")
    assert [row.id.partition("#")[2] for row in rows(made)] == ["0", "1", "2"]
    assert [row.answer() for row in rows(made)] == ["a", "b", "c"]


def test_several_answers_at_temperature_zero_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="would give the same answer 3 times"):
        walk(tmp_path, ECHO % ", samples: 3, temperature: 0")


def test_the_system_text_stands_in_place_of_the_rows_own(tmp_path):
    *_, made = walk(tmp_path, MIXED + "  made: {use: generate, prompts: talks, teacher: scripted, system: Be brief.}\n")
    assert {row.messages[0] for row in rows(made)} == {Message("system", "Be brief.")}
    assert {len(row.messages) for row in rows(made)} == {3}


def seeds_asked(folder, options, *, store="store"):
    with MockOpenAI() as mock:
        teacher = f"{{use: openai, model: small, base_url: '{mock.url}'}}"
        walk(folder, (ECHO % options).replace("scripted", teacher), store=store)
    return {question(body): body.get("seed") for body in mock.requests}


def test_every_sampled_question_has_a_seed_of_its_own_that_a_second_run_has_too(tmp_path):
    first, second = (seeds_asked(tmp_path, ", temperature: 1.0", store=name) for name in ("one", "two"))
    assert first == second
    assert len(set(first.values())) == 6
    assert all(0 <= seed < 2**31 for seed in first.values())


def test_at_temperature_zero_equal_questions_are_one(tmp_path):
    more = "[{messages: [{role: user, content: Hi}]}, {messages: [{role: user, content: Hi}]}]"
    steps = f"  talks: {{use: talks, more: {more}}}\n"
    *_, made = walk(tmp_path, steps + "  made: {use: generate, prompts: talks, teacher: scripted, temperature: 0}\n")
    assert len(rows(made)) == 2
    assert (numbers(made)["asked"], numbers(made)["from_journal"]) == (1, 1)


def test_a_changed_step_pays_only_for_what_is_new(tmp_path):
    walk(tmp_path, ECHO % "")
    _, again = walk(tmp_path, (ECHO % "").replace("count: 6", "count: 8"))
    assert again.status == "made"
    assert (numbers(again)["asked"], numbers(again)["from_journal"]) == (2, 6)


def test_the_rows_do_not_depend_on_who_paid_or_on_how_many_were_in_flight(tmp_path):
    _, first = walk(tmp_path, ECHO % "", store="one")
    (tmp_path / "two-journal.sqlite").write_bytes((tmp_path / "one-journal.sqlite").read_bytes())
    _, second = walk(tmp_path, ECHO % "", store="two", requests_in_flight=1)
    assert numbers(second)["from_journal"] == 6
    assert digests(first) == digests(second)


def test_a_service_that_fails_for_good_stops_the_step_and_the_next_run_goes_on(tmp_path, monkeypatch):
    broken = True

    def said(body):
        return Fails(401, "bad key") if broken and question(body) == "Question 5?" else Says((question(body),))

    with MockOpenAI(said) as mock:
        steps = (ECHO % "").replace("scripted", f"{{use: openai, model: small, base_url: '{mock.url}'}}")
        with pytest.raises(
            UserError, match=r"row talk:5. \d answers are kept .*store-journal.sqlite: the same command"
        ):
            walk(tmp_path, steps, requests_in_flight=1)
        broken = False
        _, made = walk(tmp_path, steps)
        assert (numbers(made)["asked"], numbers(made)["from_journal"]) == (1, 5)
        assert len(mock.requests) == 7


def test_the_answers_that_were_under_way_are_counted_too_when_another_fails(tmp_path):
    def said(body):
        failing = question(body) == "Question 0?"
        return Fails(400, "no") if failing else Says((question(body),), seconds=0.3)

    with MockOpenAI(said) as mock:
        steps = (ECHO % "").replace("scripted", f"{{use: openai, model: small, base_url: '{mock.url}'}}")
        with pytest.raises(UserError, match="5 answers are kept"):
            walk(tmp_path, steps)


def test_answers_under_way_are_waited_for_when_another_fails(tmp_path):
    def said(body):
        if question(body) == "Question 0?":
            time.sleep(0.1)
            return Fails(400, "no")
        return Says((question(body),), seconds=0.3)

    with MockOpenAI(said) as mock:
        steps = (ECHO % "").replace("scripted", f"{{use: openai, model: small, base_url: '{mock.url}'}}")
        with pytest.raises(UserError):
            walk(tmp_path, steps)
        mock.script = lambda body: Says((question(body),))
        _, made = walk(tmp_path, steps)
    assert numbers(made)["from_journal"] == len(mock.requests) - 1 - numbers(made)["asked"]
    assert numbers(made)["unknown"] == 0


def test_a_step_that_would_make_no_row_stops(tmp_path):
    with pytest.raises(UserError, match="No row is left to keep: 6 × the answer was cut off"):
        walk(tmp_path, ECHO % ", max_tokens: 1")


def test_failures_that_pass_leave_no_trace_in_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("demiurgic.providers.retries.LONGEST_SECONDS", 0.001)
    _, smooth = walk(tmp_path, ECHO % "", store="one")
    steps = ECHO.replace("teacher: scripted", "teacher: {use: scripted, failures: 0.5}")
    _, rough = walk(tmp_path, steps % "", store="two")
    assert digests(smooth) == digests(rough)


def test_without_a_recipe_the_journal_stands_beside_the_folder(tmp_path):
    prompts = walk(tmp_path, "  talks: {use: talks, count: 2}\n")[0].folder
    out = run_stage(STAGES["generate"], {"prompts": prompts, "teacher": "scripted"}, tmp_path / "made")
    assert Dataset.open(out / "rows").num_rows == 2
    assert (tmp_path / "made-journal.sqlite").is_file()


def test_sums_that_do_not_add_up_stop_the_step():
    account = Account()
    list(account.begun(iter([None])))
    account.take(Outcome(chat("Hi", "Hello"), Reply("Hello", "stop", None)))
    account.check(Tally(asked=1, tokens=0, kept=0, unknown=0), kept=1, dropped=0)
    with pytest.raises(AssertionError, match="answers were lost"):
        account.check(Tally(asked=2, tokens=0, kept=0, unknown=0), kept=1, dropped=0)
    with pytest.raises(AssertionError, match="answers were lost"):
        account.check(Tally(asked=1, tokens=0, kept=0, unknown=0), kept=0, dropped=1)


# A provider made of an earlier step, as local weights are.


@PROVIDERS.register("toy_librarian")
def toy_librarian(context: Context, *, books: Dataset) -> Provider:
    """Answers with the first row of a dataset."""
    return Scripted(Script((next(iter(books.rows())).answer(),)))


LIBRARY = """\
  books: {use: talks, more: [{messages: [{role: user, content: Who?}, {role: assistant, content: %s}]}]}
  talks: {use: talks, count: 2}
  made: {use: generate, prompts: talks, teacher: {use: toy_librarian, books: books}}
"""


def test_a_teacher_may_be_made_by_an_earlier_step(tmp_path):
    *_, made = walk(tmp_path, LIBRARY % "Herodotus.")
    assert {row.answer() for row in rows(made)} == {"Herodotus."}
    assert made.manifest.inputs["teacher.books"]["step"] == "books"
    assert made.manifest.inputs["prompts"]["step"] == "talks"


def test_the_key_depends_on_what_the_teacher_is_made_of(tmp_path):
    *_, first = walk(tmp_path, LIBRARY % "Herodotus.")
    *_, other = walk(tmp_path, LIBRARY % "Thucydides.")
    *_, again = walk(tmp_path, LIBRARY % "Herodotus.")
    assert (first.status, other.status, again.status) == ("made", "made", "reused")
    assert first.key != other.key
    assert {row.answer() for row in rows(other)} == {"Thucydides."}


def test_a_recipe_knows_that_the_step_depends_on_its_teacher(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("steps:\n" + LIBRARY % "Herodotus.")
    assert set(load_recipe(path, STAGES).steps["made"].depends_on) == {"books", "talks"}
    path.write_text("steps:\n" + (LIBRARY % "Herodotus.").replace("books: books", "books: boks"))
    with pytest.raises(RecipeError, match=r'recipe.yaml:4: made.teacher: .*"boks".*books'):
        load_recipe(path, STAGES)
