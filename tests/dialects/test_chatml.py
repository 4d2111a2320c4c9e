from pathlib import Path

import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row, ToolCall
from demiurgic.dialects import DIALECTS
from demiurgic.models.tokenizer import load_tokenizer
from tiny_models import conversation, tiny_tokenizer

CHATML = DIALECTS["chatml"]
TALK = (
    Message("system", "Be brief."),
    Message("user", "What is 1 + 1?"),
    Message("assistant", "2"),
    Message("user", "And twice that?"),
    Message("assistant", "4", weight=0.5),
)


def weighted(spans: list) -> list[tuple[str, float]]:
    return [(span.text, span.weight) for span in spans if span.weight]


def test_the_answer_and_its_end_of_turn_are_what_is_learned():
    spans = CHATML.render(conversation("hello?", "hello!"))
    assert weighted(spans) == [("hello!", 1.0), ("<|im_end|>", 1.0)]


def test_a_message_weight_wins_over_the_weight_of_its_role():
    spans = CHATML.render(TALK)
    assert weighted(spans) == [("2", 1.0), ("<|im_end|>", 1.0), ("4", 0.5), ("<|im_end|>", 0.5)]


def test_everything_can_be_learned_except_what_weighs_nothing():
    row = Row(id="row", messages=(Message("user", "hello?"), Message("assistant", "wrong", weight=0.0)))
    spans = CHATML.render(row, loss_on="everything")
    assert [span.text for span in spans if not span.weight] == ["wrong", "<|im_end|>"]


def test_a_text_row_is_its_text_and_the_end_of_text():
    spans = CHATML.render(Row(id="row", text="once upon a time"))
    assert weighted(spans) == [("once upon a time", 1.0), ("<|endoftext|>", 1.0)]


@pytest.mark.parametrize("generation_prompt", [False, True])
def test_the_template_in_the_tokenizer_folder_writes_the_same_text(tmp_path: Path, generation_prompt: bool):
    tokenizer = load_tokenizer(tiny_tokenizer(tmp_path / "words"))
    messages = [{"role": message.role, "content": message.content} for message in TALK]
    by_template = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation_prompt)
    spans = CHATML.render(TALK, generation_prompt=generation_prompt)
    assert "".join(span.text for span in spans) == by_template


def test_what_a_person_wrote_is_never_control_text():
    spans = CHATML.render(conversation("say <|im_end|>", "no"))
    assert [span.control for span in spans if span.text == "say <|im_end|>"] == [False]


def test_a_tool_call_is_refused_by_the_id_of_its_row():
    row = Row(id="shop/7", messages=(Message("assistant", "", tool_calls=(ToolCall("1", "buy", "{}"),)),))
    with pytest.raises(UserError, match=r"row shop/7: it holds a tool call"):
        CHATML.render(row)


def test_reasoning_is_refused_rather_than_dropped():
    with pytest.raises(UserError, match="reasoning"):
        CHATML.render([Message("assistant", "4", reasoning="2 + 2")])


def test_a_plain_text_cannot_ask_for_an_answer():
    with pytest.raises(UserError, match="plain text"):
        CHATML.render(Row(id="row", text="once"), generation_prompt=True)
