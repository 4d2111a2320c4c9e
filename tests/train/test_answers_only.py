"""Learning answers from a teacher's text, from row to gradient: which tokens are trained, and how much each counts."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from demiurgic.core.artifacts import Tokens
from demiurgic.core.records import Message, Row
from demiurgic.dialects import DIALECTS
from demiurgic.models.generate import complete
from demiurgic.models.load import load_model
from demiurgic.models.tokenizer import TOKENIZER_FILES, encode_prompt, load_tokenizer, stop_ids
from demiurgic.models.windows import Windows
from demiurgic.run.step import run_stage
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.batch import TokenBatch
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import accumulate
from demiurgic.train.tokenize import STAGE
from tiny_models import QUIET, conversation, tiny_dataset
from tiny_training import artifact, components, quiet, tiny_start, train

CHATML = DIALECTS["chatml"]
LENGTH = 96


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_start(tmp_path_factory.mktemp("answers") / "start")


@dataclass(frozen=True)
class Learned:
    """One window after a backward pass. `pull_T[t]` is how strongly token t, as a target, pulls at the model."""

    tokens: list[str]
    pull_T: Tensor
    total: float

    def pulling(self) -> str:
        """The text of all tokens that pull."""
        return "".join(token for token, pull in zip(self.tokens, self.pull_T.tolist(), strict=True) if pull)


def windows_of(folder: Path, start: Path, rows: Sequence[Row]) -> Windows:
    """Rows through the stage `tokenize`, whole."""
    data = tiny_dataset(folder / "data", rows)
    words = tokenizer_of(start, folder / "words")
    values = {"data": data, "tokenizer": words, "length": LENGTH, "packing": "fit", "loss_on": "answers"}
    return Windows.open(Tokens.open(run_stage(STAGE, values, folder / "tokens", context=QUIET)).path)


def tokenizer_of(start: Path, folder: Path) -> Path:
    """The tokenizer of a model as an artifact of its own; returns the part's folder."""
    part = folder / "tokenizer"
    part.mkdir(parents=True)
    for name in TOKENIZER_FILES:
        if (start / name).is_file():
            shutil.copyfile(start / name, part / name)
    return artifact(part, kind="tokenizer")


def learned(folder: Path, start: Path, rows: Sequence[Row]) -> Learned:
    """Tokenize rows into one window, and take the gradient of its loss to the last hidden states."""
    windows = windows_of(folder, start, rows)
    assert len(windows) == 1
    model = load_model(start, device="cpu")
    seen: list[Tensor] = []
    model.get_decoder().norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    batch = TokenBatch.of(windows.batch([0]), device=torch.device("cpu"))
    losses = accelerator.prepare(objective(model))(batch, float(batch.weights_BT.sum()), components("cross_entropy"))
    seen[0].retain_grad()
    losses.total.backward()
    assert seen[0].grad is not None
    # The token at t is predicted from the hidden state at t - 1.
    pull_T = torch.cat([torch.zeros(1), seen[0].grad[0, :-1].norm(dim=-1)])
    tokenizer = load_tokenizer(start)
    return Learned([tokenizer.decode([i]) for i in windows.ids_NT[0].tolist()], pull_T, float(losses.total.detach()))


def test_the_answer_and_its_end_are_trained_and_nothing_else(start: Path, tmp_path: Path):
    found = learned(tmp_path, start, [conversation("add two numbers", "return left + right")])
    assert found.pulling() == "return left + right<|im_end|>"


def test_every_other_position_has_a_gradient_of_exactly_zero(start: Path, tmp_path: Path):
    found = learned(tmp_path, start, [conversation("add two numbers", "return left + right")])
    answer = len(load_tokenizer(start).encode("return left + right")) + 1
    assert int((found.pull_T != 0).sum()) == answer
    assert int((found.pull_T == 0).sum()) == LENGTH - answer


def test_all_answers_of_a_conversation_are_trained(start: Path, tmp_path: Path):
    row = Row(id="row", messages=(
        Message("system", "be short"), Message("user", "one?"), Message("assistant", "1"),
        Message("user", "two?"), Message("assistant", "2"),
    ))  # fmt: skip
    assert learned(tmp_path, start, [row]).pulling() == "1<|im_end|>2<|im_end|>"


def test_an_answer_of_weight_0_pulls_at_nothing_and_is_still_read(start: Path, tmp_path: Path):
    def row(first: str) -> Row:
        messages = (Message("assistant", first, weight=0.0), Message("user", "two?"), Message("assistant", "2"))
        return Row(id="row", messages=(Message("user", "one?"), *messages))

    found = learned(tmp_path / "a", start, [row("1")])
    assert found.pulling() == "2<|im_end|>"
    assert found.total != learned(tmp_path / "b", start, [row("7")]).total


def test_a_message_of_weight_2_has_twice_the_share_of_one_of_weight_1(start: Path, tmp_path: Path):
    rows = [conversation("add two numbers", "return 7", id=f"row:{w}", weight=w) for w in (2.0, 1.0)]
    windows = windows_of(tmp_path, start, rows)
    found = learned(tmp_path / "again", start, rows)
    documents_T = torch.from_numpy(windows.documents_NT[0].astype("int64"))
    weight_of = {n: float(windows.weights_NT[0][windows.documents_NT[0] == n].max()) for n in (1, 2)}
    pulls = {weight_of[n]: found.pull_T[documents_T == n] for n in (1, 2)}
    trained = pulls[1.0] != 0
    torch.testing.assert_close(pulls[2.0][trained] / pulls[1.0][trained], torch.full((int(trained.sum()),), 2.0))


def test_the_users_message_is_trained_where_it_has_a_weight(start: Path, tmp_path: Path):
    messages = (Message("user", "two?", weight=1.0), Message("assistant", "2", weight=0.0))
    assert learned(tmp_path, start, [Row(id="row", messages=messages)]).pulling() == "two?<|im_end|>"


def test_prompts_get_no_gradient_through_the_optimizer_step_either(start: Path, tmp_path: Path):
    rows = [conversation("add two numbers", "return left", id="row:0", weight=0.0), conversation("a", "b", id="row:1")]
    model = load_model(start, device="cpu")
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    module = accelerator.prepare(objective(model))
    windows = windows_of(tmp_path, start, rows)
    accumulate(
        module, windows.batch([0]), components=components("cross_entropy"), accelerator=accelerator, micro_batch=1
    )
    both = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    alone = windows_of(tmp_path / "alone", start, rows[1:])
    accumulate(module, alone.batch([0]), components=components("cross_entropy"), accelerator=accelerator, micro_batch=1)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(both[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_a_model_that_learned_one_answer_gives_it_and_stops(start: Path, tmp_path: Path):
    row = conversation("add two numbers", "return left + right")
    windows = windows_of(tmp_path, start, [row])
    values = {"model": start, "data": windows.folder, "steps": 100, "batch": 1, "learning_rate": 1e-2}
    step = train(tmp_path, str(tmp_path / "student"), context=quiet(), **values)
    model, tokenizer = load_model(step / "model", device="cpu"), load_tokenizer(step / "model")
    prompt = encode_prompt(row.messages[:1], tokenizer, dialect=CHATML)
    stops = stop_ids(tokenizer, dialect=CHATML)
    (answer,) = complete(model, tokenizer, [prompt], max_new_tokens=30, stop_ids=stops, batch_size=1)
    assert (answer.text, answer.finished) == ("return left + right", True)
