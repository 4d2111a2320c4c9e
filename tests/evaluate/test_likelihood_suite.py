import math
from dataclasses import replace

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row
from demiurgic.evaluate.likelihood import Piece, Scored, batched, cut, scored_rows
from demiurgic.evaluate.suite import SUITES, Contender, Suite
from demiurgic.models.load import load_model
from demiurgic.models.tokenizer import encode_row
from tiny_code import CODE_ROWS, EXPLAIN_ROW
from tiny_models import conversation, tiny_model


@pytest.fixture(scope="module")
def contender(tmp_path_factory: pytest.TempPathFactory) -> Contender:
    return Contender.open("tiny", tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def suite(**options: object) -> Suite:
    made: Suite = SUITES.choose({"use": "bits_per_byte", **options})()
    return made


def bits(rows: list[Row], contender: Contender, **options: object) -> dict[str, float]:
    model = load_model(contender.folder, device="cpu")
    results = suite(**options).measure(
        suite(**options).choose(rows, [contender]).items, model, contender, advance=lambda _: None
    )
    return {result.item.id: result.numerator for result in results}


def test_bits_are_those_of_the_answer_and_its_end_given_the_prompt(contender: Contender):
    row = CODE_ROWS[0]
    encoded = encode_row(row, contender.tokenizer, dialect=contender.dialect)
    with torch.no_grad():
        logits_TV = load_model(contender.folder, device="cpu")(torch.tensor([encoded.ids])).logits[0]
    nats_T = torch.nn.functional.cross_entropy(logits_TV[:-1], torch.tensor(encoded.ids[1:]), reduction="none")
    answer_T = torch.tensor(encoded.weights[1:]) > 0
    assert bits([row], contender)[row.id] == pytest.approx(float(nats_T[answer_T].sum()) / math.log(2), rel=1e-5)


def test_bytes_are_those_of_the_answer_in_utf_8(contender: Contender):
    (scored,) = scored_rows([conversation("Say it.", "größe → 尺寸")], contender)
    assert scored.num_bytes == len("größe → 尺寸".encode())


def test_every_token_of_an_answer_and_its_end_is_scored_and_no_token_of_the_prompt(contender: Contender):
    (scored,) = scored_rows([CODE_ROWS[0]], contender)
    ids = [number for number, wanted in zip(scored.ids, scored.is_scored, strict=True) if wanted]
    assert contender.tokenizer.decode(ids) == CODE_ROWS[0].answer() + "<|im_end|>"


def test_a_message_of_weight_0_is_neither_scored_nor_counted(contender: Contender):
    said = Message("user", "Go on."), Message("assistant", "not this", weight=0), Message("user", "And?")
    (scored,) = scored_rows([Row("two", (*said, Message("assistant", "this")))], contender)
    assert scored.num_bytes == len("this")


def test_the_first_token_of_a_plain_text_counts_neither_bits_nor_bytes(contender: Contender):
    (scored,) = scored_rows([Row("text", text="add twice")], contender)
    first = contender.tokenizer.decode(scored.ids[:1])
    assert scored.num_bytes == len("add twice") - len(first)
    assert scored.is_scored == [False] + [True] * (len(scored.ids) - 1)


def test_the_first_character_of_a_plain_text_may_be_several_tokens(contender: Contender):
    (scored,) = scored_rows([Row("text", text="尺 add")], contender)
    assert scored.num_bytes == len(" add")
    assert scored.is_scored[:4] == [False, False, False, True]


def test_texts_of_one_token_are_left_out_and_counted(contender: Contender):
    texts = [Row("short", text="a"), Row("empty", text=""), Row("long", text="add twice")]
    chosen = suite().choose(texts, [contender])
    assert [item.id for item in chosen.items] == ["long"]
    assert chosen.left_out == {"a single token": 1, "no answer": 1}


def test_rows_the_chat_format_cannot_write_are_left_out_and_counted(contender: Contender):
    thinking = Row("deep", (Message("user", "Why?"), Message("assistant", "So.", reasoning="Hm.")))
    chosen = suite().choose([*CODE_ROWS, thinking, replace(CODE_ROWS[0], id="tools", tools="[]")], [contender])
    assert len(chosen.items) == len(CODE_ROWS)
    assert chosen.left_out == {"chatml has no form for reasoning": 1, "chatml has no form for tools": 1}


@pytest.mark.parametrize("num_tokens", [1, 7, 8, 9, 12, 13, 50])
def test_windows_score_each_token_once_and_with_half_a_window_before_it(num_tokens: int):
    pieces = cut(Scored(list(range(num_tokens)), [True] * num_tokens, 1), row=0, length=8)
    assert [n for piece in pieces for n in range(piece.first, piece.end)] == list(range(num_tokens))
    assert all(piece.end - piece.start <= 8 for piece in pieces)
    assert all(piece.first - piece.start >= 4 for piece in pieces[1:])


def test_windows_of_a_long_prompt_alone_are_not_read():
    prompt_then_answer = Scored(list(range(20)), [False] * 17 + [True] * 3, 1)
    assert cut(prompt_then_answer, row=0, length=8) == [Piece(row=0, start=12, first=16, end=20)]


def test_a_row_longer_than_a_window_costs_about_what_it_costs_whole(contender: Contender):
    row = conversation("Say it.", "for index, item in enumerate(items):\n    print(index, item)\n" * 3)
    whole, in_windows = bits([row], contender, length=256)["row"], bits([row], contender, length=64)["row"]
    assert in_windows == pytest.approx(whole, rel=0.05)
    assert in_windows != whole


def test_a_row_costs_the_same_alone_and_among_others(contender: Contender):
    among = bits([*CODE_ROWS, EXPLAIN_ROW], contender, length=64)
    for row in CODE_ROWS[:2]:
        assert bits([row], contender, length=64)[row.id] == pytest.approx(among[row.id], rel=1e-5)


def test_bf16_differs_a_little(contender: Contender):
    exact, coarse = bits(CODE_ROWS[:1], contender), bits(CODE_ROWS[:1], contender, precision="bf16")
    assert coarse["code:0"] == pytest.approx(exact["code:0"], rel=0.02)


def test_a_sample_is_chosen_by_the_ids_of_rows_not_by_their_order(contender: Contender):
    few, more = suite(max_rows=2), suite(max_rows=4)
    chosen = {item.id for item in few.choose(CODE_ROWS, [contender]).items}
    assert chosen == {item.id for item in few.choose(CODE_ROWS[::-1], [contender]).items}
    assert chosen < {item.id for item in more.choose(CODE_ROWS, [contender]).items}


def test_rows_without_an_answer_are_left_out_and_counted(contender: Contender):
    unanswered = [Row("question", (Message("user", "Why?"),)), conversation("Say nothing.", "", id="silence")]
    chosen = suite().choose([*CODE_ROWS, *unanswered], [contender])
    assert len(chosen.items) == len(CODE_ROWS)
    assert chosen.left_out == {"no answer": 2}


def test_rows_of_which_none_has_an_answer_are_refused(contender: Contender):
    with pytest.raises(UserError, match="No row of 1 can be measured.*no answer: 1"):
        suite().choose([Row("question", (Message("user", "Why?"),))], [contender])


def test_windows_longer_than_a_models_context_are_refused(contender: Contender):
    short = replace(contender, context=128)
    with pytest.raises(UserError, match="tiny attends to 128 tokens and the windows have 256. Set length: 128"):
        suite().choose(CODE_ROWS, [short])


def test_batches_hold_no_more_tokens_than_asked_for_unless_one_piece_does():
    pieces = [Piece(n, 0, 0, size) for n, size in enumerate([100, 60, 50, 40, 10, 10])]
    sizes = [[piece.end for piece in batch] for batch in batched(pieces, tokens=120)]
    assert sizes == [[100], [60, 50], [40, 10, 10]]
