"""What is read of a cache is what the live teacher says: exactly, coarsened, or in expectation."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from caches import CPU, cached, capture, live, some_windows, start_and_teacher, windows_of
from demiurgic.core.errors import UserError
from demiurgic.models.load import load_model
from demiurgic.models.windows import Windows
from demiurgic.train.batch import TokenBatch
from demiurgic.train.chunk import Prediction, Workspace
from demiurgic.train.objective import objective
from demiurgic.train.signals import Samples, TeacherSignal, TopK
from tiny_training import components

KEEPS = {
    "hidden": {"use": "hidden", "dtype": "fp32"},
    "hidden_bf16": {"use": "hidden"},
    "top_k": {"use": "top_k", "k": 8, "temperatures": [1.0, 2.0]},
    "all": {"use": "top_k", "k": 300, "temperatures": [1.0, 2.0]},
    "samples": {"use": "samples", "draws": 50},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = start_and_teacher(tmp_path_factory.mktemp("cached"))
    for name, keep in KEEPS.items():
        capture(folder, name, keep | ({"k": windows_of(folder).vocab_size} if name == "all" else {}))
    return folder


@pytest.fixture(scope="module")
def windows(folder: Path) -> Windows:
    return windows_of(folder)


def part(folder: Path, name: str) -> Path:
    return folder / name / str(KEEPS[name]["use"])


def loss_and_gradients(
    folder: Path, windows: Windows, teacher: TeacherSignal, losses: Sequence[Any]
) -> tuple[float, dict[str, Tensor]]:
    student = load_model(folder / "start" / "model", device="cpu")
    module = objective(student, vocab_size=windows.vocab_size, teacher=teacher)
    batch = some_windows(windows, 3, 0, 5)
    found = module(batch, float(batch.weights_BT.sum()), components(*losses))
    found.total.backward()
    return found.total.item(), {n: p.grad for n, p in student.named_parameters() if p.grad is not None}


def assert_agree(folder: Path, windows: Windows, name: str, losses: Sequence[Any]) -> None:
    wanted, wanted_gradients = loss_and_gradients(folder, windows, live(folder, windows), losses)
    found, gradients = loss_and_gradients(folder, windows, cached(part(folder, name), windows), losses)
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    assert gradients.keys() == wanted_gradients.keys()
    for parameter, gradient in gradients.items():
        scale = wanted_gradients[parameter].abs().max().item()
        torch.testing.assert_close(gradient, wanted_gradients[parameter], rtol=0, atol=1e-5 * scale + 1e-9)


LOSSES = [
    [{"use": "forward_kl", "temperature": 2.0}, {"use": "cross_entropy", "weight": 0.1}],
    ["reverse_kl"],
    [{"use": "jsd", "temperature": 2.0}, "total_variation"],
]


@pytest.mark.parametrize("losses", LOSSES, ids=str)
def test_cached_hidden_states_teach_what_the_live_teacher_does(folder: Path, windows: Windows, losses: list[Any]):
    assert_agree(folder, windows, "hidden", losses)


@pytest.mark.parametrize("losses", LOSSES, ids=str)
def test_all_words_teach_what_the_live_teacher_does(folder: Path, windows: Windows, losses: list[Any]):
    assert_agree(folder, windows, "all", losses)


def said(signal: TeacherSignal, batch: TokenBatch, windows: Windows) -> Any:
    tokens = batch.supervised()
    num_tokens, workspace = len(tokens.labels_N), Workspace()
    sizes = {"num_tokens": num_tokens, "vocab_size": windows.vocab_size, "capacity": num_tokens}
    workspace.next_chunk(**sizes, device=CPU)
    return signal.read(batch, tokens).chunk(slice(0, num_tokens), workspace)


def log_probs(folder: Path, windows: Windows, batch: TokenBatch) -> Tensor:
    found = said(live(folder, windows), batch, windows)
    assert isinstance(found, Prediction)
    return found.at(1.0).log_NO.clone()


def test_hidden_states_in_bf16_are_those_of_the_teacher_rounded(folder: Path, windows: Windows):
    batch = some_windows(windows)
    tokens = batch.supervised()
    wanted = live(folder, windows).read(batch, tokens).hidden(-1)
    found = cached(part(folder, "hidden_bf16"), windows).read(batch, tokens).hidden(-1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=2**-8, atol=1e-5)
    assert not torch.equal(found, wanted)


def test_top_k_are_the_likeliest_words_of_the_live_teacher(folder: Path, windows: Windows):
    batch = some_windows(windows, 4, 1)
    found, logs_NV = said(cached(part(folder, "top_k"), windows), batch, windows), log_probs(folder, windows, batch)
    assert isinstance(found, TopK)
    torch.testing.assert_close(found.log_NK, logs_NV.sort(descending=True).values[:, :8], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.log_NK, logs_NV.gather(1, found.ids_NK), rtol=0, atol=1e-5)
    others_N = 1 - found.log_NK.double().exp().sum(-1)
    torch.testing.assert_close(found.log_tail_N[1.0].double().exp(), others_N, rtol=1e-4, atol=1e-6)


def test_samples_are_the_live_teacher_in_expectation(folder: Path, windows: Windows, tmp_path: Path):
    """The mean of many draws, in units of its own error: unbiased for every word of every token."""
    draws = 40_000
    many = capture(folder, tmp_path / "many", {"use": "samples", "draws": draws})
    batch = some_windows(windows)
    found, logs_NV = said(cached(many, windows), batch, windows), log_probs(folder, windows, batch)
    assert isinstance(found, Samples)
    shares_NV = torch.zeros_like(logs_NV).scatter_add(1, found.draws[1.0].ids_NK, found.draws[1.0].shares_NK)
    probs_NV = logs_NV.exp()
    deviations_NV = (shares_NV - probs_NV) / (probs_NV * (1 - probs_NV) / draws).sqrt()
    assert deviations_NV.square().mean().item() == pytest.approx(1, abs=0.05)
    assert deviations_NV.abs().max() < 7
    entropy_N = -(probs_NV * logs_NV).sum(-1)
    torch.testing.assert_close(found.draws[1.0].entropy_N, entropy_N, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KEEPS)
def test_a_cache_is_read_when_its_teacher_is_gone(folder: Path, windows: Windows, tmp_path: Path, name: str):
    shutil.copytree(folder / "start", tmp_path / "start")
    shutil.copytree(folder / "rows", tmp_path / "rows")
    shutil.copytree(folder / name, tmp_path / name)
    own = windows_of(tmp_path)
    assert not (tmp_path / "teacher").exists()
    loss, _ = loss_and_gradients(tmp_path, own, cached(part(tmp_path, name), own), ["forward_kl"])
    assert loss > 0


@pytest.mark.parametrize("name", KEEPS)
def test_chosen_tokens_are_those_tokens(folder: Path, windows: Windows, name: str):
    batch = some_windows(windows, 2, 5)
    tokens, index_S = batch.supervised(), torch.tensor([7, 0, 3])
    found = cached(part(folder, name), windows).read(batch, tokens)
    workspace = Workspace()

    def first_numbers(chosen: Any, num_tokens: int) -> Tensor:
        sizes = {"num_tokens": num_tokens, "vocab_size": windows.vocab_size, "capacity": num_tokens}
        workspace.next_chunk(**sizes, device=CPU)
        match chosen.chunk(slice(0, num_tokens), workspace):
            case Prediction() as prediction:
                return prediction.at(1.0).log_NO.clone()
            case TopK() as top:
                return top.log_NK
            case Samples() as samples:
                return samples.draws[1.0].shares_NK
            case other:
                raise AssertionError(other)

    whole = first_numbers(found, len(tokens.labels_N))
    torch.testing.assert_close(first_numbers(found.select(index_S), 3), whole[index_S], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", KEEPS)
def test_tokens_whose_weight_was_set_to_0_are_left_out(folder: Path, windows: Windows, name: str):
    whole = some_windows(windows, 2, 5)
    weights_BT = whole.weights_BT.clone()
    weights_BT[0, :] = 0
    weights_BT[1] *= 0.25
    less = replace(whole, weights_BT=weights_BT)
    signal = cached(part(folder, name), windows)
    alone = some_windows(windows, 5)
    found, wanted = (signal.read(batch, batch.supervised()).chunk for batch in (less, alone))
    num_tokens, workspace = len(alone.supervised().labels_N), Workspace()

    def numbers(chunk: Any) -> list[Tensor]:
        sizes = {"num_tokens": num_tokens, "vocab_size": windows.vocab_size, "capacity": num_tokens}
        workspace.next_chunk(**sizes, device=CPU)
        match chunk(slice(0, num_tokens), workspace):
            case Prediction() as prediction:
                return [prediction.at(1.0).log_NO.clone()]
            case TopK() as top:
                return [top.ids_NK, top.log_NK, *top.log_tail_N.values()]
            case Samples() as samples:
                return [samples.draws[1.0].shares_NK.sort(descending=True).values[:, :3]]
            case other:
                raise AssertionError(other)

    assert num_tokens == len(less.supervised().labels_N)
    for left, right in zip(numbers(found), numbers(wanted), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", KEEPS)
def test_text_that_the_student_wrote_is_refused(folder: Path, windows: Windows, name: str):
    batch = replace(some_windows(windows, 0), windows=None)
    with pytest.raises(UserError, match="nothing of text that the student writes. With on_policy, give a model"):
        cached(part(folder, name), windows).read(batch, batch.supervised())


@pytest.mark.parametrize(("name", "layer"), [("hidden", -2), ("top_k", -1), ("samples", -1)])
def test_hidden_states_that_were_not_kept_are_refused(folder: Path, windows: Windows, name: str, layer: int):
    batch = some_windows(windows, 0)
    found = cached(part(folder, name), windows).read(batch, batch.supervised())
    with pytest.raises(UserError, match=rf"hidden states .*{layer}.* give the teacher itself|Give the teacher itself"):
        found.hidden(layer)
