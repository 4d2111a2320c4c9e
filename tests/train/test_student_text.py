"""Which prompts the student goes on from, what it writes, and the windows that this becomes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.core.seeds import Seeds
from demiurgic.models.load import load_model
from demiurgic.models.sample import Prompt, Written
from demiurgic.models.windows import Windows
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.on_policy import OnPolicy
from demiurgic.train.order import Order
from demiurgic.train.source import FromData, StepText, averaged
from demiurgic.train.student_text import (
    Place,
    WithStudent,
    Writer,
    answered,
    facts_of,
    prompt_places,
    refuse_no_prompts,
    refuse_shards,
)
from tiny_models import LINES, conversation
from tiny_training import tiny_start, tiny_tokens
from two_processes import on_two_processes

STOPS = range(0, 300, 5)


def talks(count: int = 9) -> list[Any]:
    return [conversation(f"What is {LINES[n % 6][:n]}?", LINES[n % 5], id=f"talk:{n}") for n in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student, windows of conversations, and windows of plain texts."""
    folder = tmp_path_factory.mktemp("student")
    model = tiny_start(folder / "start", layers=1, hidden=32, intermediate=48)
    tiny_tokens(folder / "talks", model, rows=talks(), length=160)
    tiny_tokens(folder / "texts", model)
    return folder


@pytest.fixture(scope="module")
def writer(folder: Path) -> Writer:
    model = load_model(folder / "start" / "model", device="cpu")
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    return Writer(model, STOPS, vocab_size=290, context=256, precision="fp32", accelerator=accelerator)


def source(folder: Path, writer: Writer, *, seed: int = 7, **options: Any) -> WithStudent:
    windows = Windows.open(folder / "talks" / "tokens")
    data = FromData(windows, Order(len(windows), batch=2, seeds=Seeds(seed)))
    on_policy = OnPolicy(**{"max_new_tokens": 12, "share": 1.0, **options})
    return WithStudent(data, on_policy, Curriculum([]), writer, Seeds(seed))


def same_text(left: StepText, right: StepText) -> bool:
    return np.array_equal(left.batch.ids_BT, right.batch.ids_BT) and left.facts == right.facts


def test_a_prompt_ends_before_the_first_supervised_token_of_its_document():
    weights_BT = np.array([[0, 0, 0, 1, 1, 0, 1, 0, 0, 2], [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]])
    documents_BT = np.array([[1, 1, 1, 1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2, 3, 3, 0, 0]])
    # of the second window the first document has a prompt of one token, the others have nothing supervised
    assert prompt_places(weights_BT, documents_BT) == [Place(0, 0, 3), Place(0, 7, 9)]


def test_the_student_goes_on_from_the_prompts_of_the_steps_windows(folder: Path, writer: Writer):
    found = source(folder, writer).text(0)
    windows = Windows.open(folder / "talks" / "tokens").batch(found.windows)
    places = prompt_places(windows.weights_BT, windows.documents_BT)
    assert found.source == "student" and len(found.batch.ids_BT) == len(places) > 2
    for row, place in enumerate(places):
        prompt = windows.ids_BT[place.window, place.start : place.end]
        np.testing.assert_array_equal(found.batch.ids_BT[row, : len(prompt)], prompt)
        assert not found.batch.weights_BT[row, : len(prompt)].any()
        assert found.batch.weights_BT[row, len(prompt)] == 1
    assert found.batch.windows_B is None


def test_what_was_written_has_weight_1_to_its_end_and_padding_is_no_document():
    found = answered(
        [Prompt([5, 6], np.zeros(3)), Prompt([7, 8, 9], np.zeros(3))], [Written([3, 2], True), Written([4], False)]
    )
    assert found.ids_BT.tolist() == [[5, 6, 3, 2], [7, 8, 9, 4]]
    assert found.weights_BT.tolist() == [[0, 0, 1, 1], [0, 0, 0, 1]]
    assert found.documents_BT.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1]]
    shorter = answered([Prompt([5], np.zeros(2)), Prompt([7, 8, 9], np.zeros(3))], [Written([3], False)] * 2)
    assert shorter.documents_BT.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_the_log_gets_how_many_tokens_how_long_and_how_many_ended():
    facts = facts_of([Written([3, 2], True), Written([4, 5, 6, 7], False)])
    assert facts == {"sampled": {"texts": 2, "tokens": 6, "mean_length": 3.0, "finished_share": 0.5}}


def test_the_text_of_a_step_is_the_same_whenever_and_by_however_many_rows_it_is_written(folder: Path, writer: Writer):
    first = source(folder, writer)
    assert not same_text(first.text(3), first.text(4))
    again = first.text(3)
    assert same_text(source(folder, writer, rows=1).text(3), again)
    assert same_text(source(folder, writer, rows=3).text(3), again)


def test_a_window_that_comes_twice_in_a_step_is_written_on_twice(folder: Path, writer: Writer):
    found = source(folder, writer)
    num_windows = len(found.data.windows)
    data = replace(found.data, order=Order(num_windows, batch=2 * num_windows, seeds=Seeds(0)))
    text = replace(found, data=data).text(0)
    assert sorted(text.windows) == sorted([*range(num_windows)] * 2)
    prompts = np.where(text.batch.weights_BT == 0, text.batch.ids_BT, -1)
    assert len(np.unique(prompts, axis=0)) < len(prompts)
    answers = np.unique(text.batch.ids_BT, axis=0)
    assert len(answers) > len(talks())


def test_another_seed_writes_another_text(folder: Path, writer: Writer):
    assert not same_text(source(folder, writer, seed=8).text(3), source(folder, writer).text(3))


def test_the_coin_falls_as_often_as_the_share_says_and_each_time_the_same(folder: Path, writer: Writer):
    def heads(**more: Any) -> list[bool]:
        text = source(folder, writer, max_new_tokens=1, **more).text
        return [text(step, num_steps=60).source == "student" for step in range(60)]

    assert heads(share=0.5) == heads(share=0.5)
    assert 18 <= sum(heads(share=0.5)) <= 42
    assert sum(heads(share=0.0)) == 0 and sum(heads(share=1.0)) == 60


def test_the_share_follows_its_schedule(folder: Path, writer: Writer):
    text = source(folder, writer, max_new_tokens=1, share={"from": 0.0, "to": 1.0, "start": 0.4, "end": 0.6}).text
    sources = [text(step, num_steps=40).source for step in range(40)]
    assert sources[:16] == ["data"] * 16 and sources[-15:] == ["student"] * 15


def test_a_step_of_the_data_is_what_it_is_without_the_student(folder: Path, writer: Writer):
    found = source(folder, writer, share=0.0)
    assert same_text(found.text(5), found.data.text(5))
    assert found.text(5).windows == found.data.order.windows(5)


def test_no_text_is_longer_than_the_context(folder: Path, writer: Writer):
    endless = replace(writer, stop_ids=[])
    found = source(folder, endless, max_new_tokens=100).text(0)
    context = max(int(row.sum()) for row in found.batch.documents_BT) - 60
    short = source(folder, replace(endless, context=context), max_new_tokens=100).text(0)
    assert short.batch.ids_BT.shape[1] == context
    assert (short.batch.weights_BT.sum(axis=1) >= 1).all()


def test_every_text_counts_the_same_where_the_mean_is_over_documents(folder: Path, writer: Writer):
    by_token = source(folder, writer).text(1).batch.weights_BT.sum(axis=1)
    by_document = averaged(source(folder, writer), "documents").text(1, num_steps=None).batch.weights_BT.sum(axis=1)
    assert len(set(by_token.tolist())) > 1
    np.testing.assert_allclose(by_document, 1.0, rtol=1e-6)


def test_windows_without_prompts_give_way_to_the_next_that_have_some(folder: Path, writer: Writer):
    whole = source(folder, writer)
    weights_NT = np.zeros_like(whole.data.windows.weights_NT)
    kept = whole.data.order.windows(2)[0]
    weights_NT[kept] = whole.data.windows.weights_NT[kept]
    data = replace(whole.data, windows=replace(whole.data.windows, weights_NT=weights_NT))
    found = replace(whole, data=data).text(0)
    assert kept in found.windows


def test_windows_in_which_everything_is_supervised_are_refused(folder: Path):
    refuse_no_prompts(Windows.open(folder / "talks" / "tokens"))
    with pytest.raises(UserError, match="no row has any: a prompt is the 2 or more tokens before the first"):
        refuse_no_prompts(Windows.open(folder / "texts" / "tokens"))


@pytest.mark.parametrize("mark", ["full_tensor", "ds_id"])
def test_a_student_in_shards_is_refused(mark: str):
    """FSDP2's parameters are known by the one attribute, those of ZeRO-3 by the other."""
    model: Any = torch.nn.Linear(2, 2)
    refuse_shards(model)
    setattr(model.weight, mark, None)
    with pytest.raises(UserError, match="each holds a shard of it"):
        refuse_shards(model)


def its_own_text(folder: Path) -> StepText:
    """As many texts as there are conversations, shared out among however many processes there are."""
    model = load_model(folder / "start" / "model", device="cpu")
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    writer = Writer(model, STOPS, vocab_size=290, context=256, precision="fp32", accelerator=accelerator)
    found = source(folder, writer)
    order = Order(len(found.data.windows), batch=len(found.data.windows), seeds=Seeds(0))
    return replace(found, data=replace(found.data, order=order)).text(0)


def test_two_processes_share_the_prompts_and_have_all_the_text_that_one_writes(folder: Path, tmp_path: Path):
    wanted = its_own_text(folder).batch.ids_BT
    assert len(wanted) == len(talks())
    for text in on_two_processes(its_own_text, folder, out=tmp_path):
        np.testing.assert_array_equal(text.batch.ids_BT, wanted)
