"""Two rows are duplicates when they ask and answer the same."""

from dataclasses import replace

from demiurgic.core.records import Message, Row, ToolCall
from demiurgic.curate.duplicates import Seen, said
from tiny_rows import chat

ROW = chat("Hi", "Hello", id="a")


def test_the_first_is_the_witness_of_every_later_one():
    seen = Seen()
    rows = [ROW, replace(ROW, id="b"), replace(ROW, id="c", source="elsewhere", license="MIT", meta='{"n": 1}')]
    assert [seen.witness(row) for row in rows] == [None, "a", "a"]


def test_weights_and_reasoning_do_not_make_another_row():
    ask, say = ROW.messages
    assert said(replace(ROW, messages=(ask, replace(say, weight=0.5, reasoning="Be polite.")))) == said(ROW)


def test_another_prompt_answer_or_preference_makes_another_row():
    others = [chat("Hi!", "Hello"), chat("Hi", "Hello!"), replace(ROW, rejected=(Message("assistant", "No."),))]
    others += [replace(ROW, tools="[]"), Row("a", text="HiHello")]
    assert len({said(row) for row in [ROW, *others]}) == 6


def test_tool_calls_are_told_apart_by_what_they_call_and_not_by_their_ids():
    def calling(id, name):
        return Row("a", (Message("user", "Hi"), Message("assistant", "", (ToolCall(id, name, "{}"),))))

    assert said(calling("1", "add")) == said(calling("2", "add"))
    assert said(calling("1", "add")) != said(calling("1", "subtract"))
