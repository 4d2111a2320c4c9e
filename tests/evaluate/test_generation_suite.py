from dataclasses import replace
from pathlib import Path

import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row
from demiurgic.evaluate.generation import (
    Answer,
    GenerationSuite,
    answer_of,
    line_ends,
    prompt_of,
    tokens_within,
)
from demiurgic.evaluate.suite import SUITES, Contender, Item
from demiurgic.models.generate import Completion
from demiurgic.models.load import load_model
from demiurgic.models.tokenizer import encode_row
from tiny_code import CODE_ROWS, EXPLAIN_ROW, code_row, learn_by_heart, split_like_gpt2
from tiny_models import tiny_model


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Contender:
    """A model that has learnt the rows by heart."""
    folder = tiny_model(tmp_path_factory.mktemp("models") / "knowing")
    learn_by_heart(folder, CODE_ROWS)
    return Contender.open("knowing", folder)


def suite(name: str, **options: object) -> GenerationSuite:
    made: GenerationSuite = SUITES.choose({"use": name, **options})()
    return made


def scores(suite: GenerationSuite, contender: Contender, rows: list[Row] = CODE_ROWS) -> dict[str, float]:
    model = load_model(contender.folder, device="cpu")
    items = suite.choose(rows, [contender]).items
    return {r.item.id: r.numerator for r in suite.measure(items, model, contender, advance=lambda _: None)}


@pytest.mark.parametrize("name", ["python_completion", "next_line"])
def test_a_model_that_knows_the_source_by_heart_is_always_right(name: str, knowing: Contender):
    assert scores(suite(name, max_new_tokens=80), knowing) == {row.id: 1.0 for row in CODE_ROWS}


def test_a_model_that_is_cut_off_is_wrong(knowing: Contender):
    short = suite("python_completion", max_new_tokens=3)
    assert set(scores(short, knowing).values()) == {0.0}


def test_a_model_goes_on_from_the_very_ids_that_training_saw(knowing: Contender):
    for item in suite("next_line").choose(CODE_ROWS, [knowing]).items:
        prompt = prompt_of(item, knowing)
        seen = encode_row(item.row, knowing.tokenizer, dialect=knowing.dialect).ids
        assert prompt.ids == seen[: len(prompt.ids)]
        assert knowing.tokenizer.decode(prompt.ids).endswith(item.begun.removesuffix(prompt.owed))


def test_what_no_token_ends_at_is_owed_by_the_model(knowing: Contender):
    assert knowing.tokenizer.tokenize("    return") == ["ĠĠĠ", "Ġr", "et", "urn"]
    given, text = tokens_within("    retu", "rn left", knowing.tokenizer)
    assert text == "    ret"
    assert knowing.tokenizer.decode(given) == text


def test_half_a_character_is_not_given_as_a_whole_one(knowing: Contender):
    given, text = tokens_within("a", "尺", knowing.tokenizer)
    assert (knowing.tokenizer.decode(given), text) == ("a", "a")


def test_an_answer_begins_after_what_was_owed():
    assert answer_of(Completion([1], "ft + right", True), owed="ft") == Answer(" + right", finished=True)
    assert answer_of(Completion([1], "ngth", True), owed="ft") == Answer("", finished=False)


def test_a_tokenizer_that_joins_line_breaks_and_indentation_is_asked_fairly(tmp_path: Path):
    """As GPT-2's does: the border lies inside a token, the model owes the line break, and that must not stop it."""
    folder = tiny_model(tmp_path / "model")
    split_like_gpt2(folder)
    learn_by_heart(folder, CODE_ROWS)
    contender = Contender.open("joining", folder)
    lines = suite("next_line", max_new_tokens=80)
    owed = {prompt_of(item, contender).owed for item in lines.choose(CODE_ROWS, [contender]).items}
    assert "\n" in owed
    assert set(scores(lines, contender).values()) == {1.0}


def test_a_line_may_end_in_a_token_that_holds_more_than_the_line_break(knowing: Contender):
    texts = [knowing.tokenizer.decode([number]) for number in line_ends(knowing.tokenizer)]
    assert texts
    assert all(text.lstrip(" \t").startswith("\n") for text in texts)


def test_an_item_scores_the_same_alone_and_among_others(knowing: Contender):
    lines = suite("next_line", max_new_tokens=80)
    assert scores(lines, knowing, CODE_ROWS[:1])["code:0"] == scores(lines, knowing)["code:0"]


def test_only_items_that_fit_every_contender_are_asked(knowing: Contender):
    lines = suite("next_line")
    lengths = {item.id: len(prompt_of(item, knowing).ids) for item in lines.choose(CODE_ROWS, [knowing]).items}
    narrow = replace(knowing, name="narrow", context=sorted(lengths.values())[2] + 40)
    chosen = lines.choose(CODE_ROWS, [knowing, narrow])
    assert {item.id for item in chosen.items} == {id for id, length in lengths.items() if length + 40 <= narrow.context}
    assert chosen.left_out == {"longer than a model's context": len(CODE_ROWS) - len(chosen.items)}


@pytest.mark.parametrize("name", ["python_completion", "next_line"])
def test_rows_the_chat_format_cannot_write_are_left_out_and_counted(name: str, knowing: Contender):
    system, (ask, say) = Message("system", "Be brief.", reasoning="Hm."), CODE_ROWS[0].messages
    thinking = replace(CODE_ROWS[0], id="deep", messages=(system, ask, say))
    with_tools = replace(CODE_ROWS[0], id="tools", tools="[]")
    chosen = suite(name).choose([*CODE_ROWS, thinking, with_tools], [knowing])
    assert len(chosen.items) == len(CODE_ROWS)
    assert chosen.left_out == {"chatml has no form for reasoning": 1, "chatml has no form for tools": 1}


def test_nothing_longer_than_the_training_windows_is_asked(knowing: Contender):
    lengths = {
        item.id: len(prompt_of(item, knowing).ids) for item in suite("next_line").choose(CODE_ROWS, [knowing]).items
    }
    limit = sorted(lengths.values())[2] + 40
    chosen = suite("next_line", length=limit).choose(CODE_ROWS, [knowing])
    assert {item.id for item in chosen.items} == {id for id, length in lengths.items() if length + 40 <= limit}
    assert chosen.left_out == {"longer than `length`": len(CODE_ROWS) - len(chosen.items)}


def test_a_gold_answer_longer_than_the_limit_is_not_asked_for(knowing: Contender):
    chosen = suite("python_completion", max_gold_tokens=1)
    with pytest.raises(
        UserError, match=r"No row of 7 .*gold answer too long: 6.* Wanted: rows that end with an answer"
    ):
        chosen.choose([*CODE_ROWS, EXPLAIN_ROW], [knowing])


def test_what_a_model_wrote_is_kept_as_evidence(knowing: Contender):
    completion = suite("python_completion", max_new_tokens=80)
    items = completion.choose(CODE_ROWS[:1], [knowing]).items
    model = load_model(knowing.folder, device="cpu")
    (result,) = completion.measure(items, model, knowing, advance=lambda _: None)
    assert result.evidence == {
        "prompt": "<|im_start|>user\nComplete this Python function:\ndef add(left, right):\n<|im_end|>\n"
        "<|im_start|>assistant\n",
        "answer": "    return left + right",
        "finished": True,
        "gold": "    return left + right",
        "score": 1.0,
    }


def test_max_rows_stops_at_the_first_that_fit_in_an_order_given_by_the_ids(knowing: Contender):
    few = suite("next_line", max_rows=2).choose(CODE_ROWS, [knowing])
    more = suite("next_line", max_rows=4).choose(CODE_ROWS[::-1], [knowing])
    assert {item.id for item in few.items} < {item.id for item in more.items}
    assert few.left_out == {"over max_rows": 4}


def question(name: str, row: Row) -> Item | None:
    return suite(name).question(row)


def test_a_completion_must_parse_with_the_code_it_was_given():
    item = question("python_completion", CODE_ROWS[0])
    assert item is not None
    score = suite("python_completion").score
    assert score(item, Answer("    pass", finished=True)) == 1
    assert score(item, Answer("pass", finished=True)) == 0  # not indented
    assert score(item, Answer("    return (left", finished=True)) == 0
    assert score(item, Answer("    return left", finished=False)) == 0  # cut off
    assert score(item, Answer(" \n", finished=True)) == 0


def test_a_row_whose_own_answer_does_not_parse_is_not_asked():
    assert question("python_completion", code_row("broken", "def add(:\n", "    return 1", id="broken")) is None


def test_a_next_line_must_be_exact_but_for_blanks_at_its_end():
    item = question("next_line", code_row("sums", "def add(left, right):\n", "    return left", id="one"))
    assert item is not None
    assert (item.begun, item.gold) == ("", "    return left")
    score = suite("next_line").score
    assert score(item, Answer("    return left  ", finished=True)) == 1
    assert score(item, Answer("    return left\n    more", finished=False)) == 1
    assert score(item, Answer("    return left", finished=False)) == 0  # may have gone on
    assert score(item, Answer("  return left", finished=True)) == 0
    assert score(item, Answer("\n    return left", finished=True)) == 0


def test_a_next_line_is_one_that_is_not_blank_and_all_before_it_is_given():
    answer = "    first = 1\n\n    second = 2\n\n    return first + second"
    items = [question("next_line", code_row("m", "def f():\n", answer, id=f"row:{n}")) for n in range(30)]
    assert {item.gold.strip() for item in items if item} == {"first = 1", "second = 2", "return first + second"}
    assert all(answer.startswith(item.begun + item.gold) for item in items if item)


def test_rows_without_code_to_go_on_from_are_not_asked():
    assert question("next_line", EXPLAIN_ROW) is None
    assert question("python_completion", EXPLAIN_ROW) is None
