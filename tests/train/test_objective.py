"""The student with its losses: which positions get a gradient, and what does not change it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from demiurgic.core.registry import Registry
from demiurgic.models.load import load_model
from demiurgic.models.windows import Batch
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.batch import TokenBatch
from demiurgic.train.chunk import MIN_TOKENS, Chunk
from demiurgic.train.components import components_of
from demiurgic.train.losses import LossOptions
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import accumulate
from demiurgic.train.signals.live import LiveTeacher
from demiurgic.train.token_loss import TokenLoss
from tiny_models import tiny_model
from tiny_training import components

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A student with a tied head, one with a head of its own, and a teacher."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "tied": tiny_model(folder / "tied", layers=1),
        "untied": tiny_model(folder / "untied", layers=1, tied=False, seed=2),
        "teacher": tiny_model(folder / "teacher", seed=1),
    }


def student(folders: dict[str, Path], name: str = "tied") -> Any:
    return load_model(folders[name], device="cpu")


def windows(count: int = 8, length: int = 12, *, seed: int = 0) -> Batch:
    """Windows of two documents and some padding; each has another number of supervised tokens."""
    random = np.random.default_rng(seed)
    ids_BT = random.integers(0, 290, (count, length))
    documents_BT = np.repeat([[1] * 5 + [2] * (length - 7) + [0] * 2], count, axis=0)
    weights_BT = (random.random((count, length)) < np.linspace(0.1, 0.9, count)[:, None]).astype(np.float32)
    weights_BT[:, [0, 5, length - 2, length - 1]] = 0
    weights_BT *= random.uniform(0.5, 2.0, (count, 1)).astype(np.float32)
    return Batch(ids_BT.astype(np.int64), weights_BT, documents_BT.astype(np.int64))


def gradients(model: Any, batch: Batch, *losses: Any, micro_batch: int = 8, teacher: Any = None) -> dict[str, Tensor]:
    """The gradient of one optimizer step, by parameter."""
    accelerator = accelerator_on(CPU, "fp32")
    module = accelerator.prepare(objective(model, teacher=teacher))
    model.zero_grad()
    accumulate(module, batch, components=components(*losses), accelerator=accelerator, micro_batch=micro_batch)
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_close(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


def watch(module: Any) -> list[Tensor]:
    """Every output of a layer, which will hold its gradient."""
    seen: list[Tensor] = []

    def keep(module: Any, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    module.register_forward_hook(keep)
    return seen


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 4])
def test_the_gradient_does_not_depend_on_how_a_batch_is_cut(folders: dict[str, Path], micro_batch: int):
    model, teacher = student(folders), LiveTeacher(student(folders, "teacher"), bf16=False)
    chosen = ({"use": "forward_kl", "weight": 0.9}, {"use": "cross_entropy", "weight": 0.1})
    whole = gradients(model, windows(), *chosen, micro_batch=8, teacher=teacher)
    assert_close(gradients(model, windows(), *chosen, micro_batch=micro_batch, teacher=teacher), whole)


@pytest.mark.parametrize("name", ["tied", "untied"])
def test_the_gradient_is_that_of_the_plain_cross_entropy_of_the_library_model(folders: dict[str, Path], name: str):
    model, batch = student(folders, name), windows()
    ids_BT, documents_BT = torch.from_numpy(batch.ids_BT), torch.full(batch.ids_BT.shape, 1)
    found = gradients(model, Batch(batch.ids_BT, batch.weights_BT, documents_BT.numpy()), "cross_entropy")
    model.zero_grad()
    logits_BTV = model(input_ids=ids_BT).logits[:, :-1]
    nats = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten(), reduction="none")
    weights = torch.from_numpy(batch.weights_BT)[:, 1:].flatten()
    ((nats * weights).sum() / weights.sum()).backward()
    assert_close(found, {name: parameter.grad for name, parameter in model.named_parameters()})


def test_only_the_positions_before_supervised_tokens_get_a_gradient(folders: dict[str, Path]):
    model, batch = student(folders, "untied"), windows()
    seen = watch(model.get_decoder().norm)
    teacher = LiveTeacher(student(folders, "teacher"), bf16=False)
    gradients(model, batch, "forward_kl", "cross_entropy", teacher=teacher)
    assert seen[0].grad is not None
    touched_BT = seen[0].grad.abs().sum(dim=-1) > 0
    before_supervised_BT = torch.zeros_like(touched_BT)
    before_supervised_BT[:, :-1] = torch.from_numpy(batch.weights_BT)[:, 1:] > 0
    assert torch.equal(touched_BT, before_supervised_BT)


def test_no_gradient_crosses_a_document_border(folders: dict[str, Path]):
    model, batch = student(folders, "untied"), windows()
    weights_BT = batch.weights_BT.copy()
    weights_BT[:, :5] = 0  # nothing of the first document is supervised
    seen = watch(model.get_input_embeddings())
    gradients(model, Batch(batch.ids_BT, weights_BT, batch.documents_BT), "cross_entropy")
    assert seen[0].grad is not None
    assert not seen[0].grad[:, :5].any()
    assert seen[0].grad[:, 5:-2].any()


def test_the_teacher_never_trains_and_its_weights_never_change(folders: dict[str, Path]):
    model, teacher = student(folders), student(folders, "teacher")
    before = {name: parameter.clone() for name, parameter in teacher.named_parameters()}
    module = objective(model, teacher=LiveTeacher(teacher, bf16=False))
    module.train()
    module(TokenBatch.of(windows(), device=CPU), 1.0, components("forward_kl")).total.backward()
    assert model.training
    assert not any(child.training for child in teacher.modules())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(parameter, before[name]) for name, parameter in teacher.named_parameters())
    assert not any("teacher" in name for name, _ in module.named_parameters())


def test_a_student_that_is_its_own_teacher_has_nothing_to_learn(folders: dict[str, Path]):
    model, twin = student(folders), student(folders)
    module = objective(model, teacher=LiveTeacher(twin, bf16=False))
    losses = module(TokenBatch.of(windows(), device=CPU), 1.0, components("forward_kl"))
    losses.total.backward()
    assert losses.total.item() == pytest.approx(0, abs=1e-5)
    assert max(float(parameter.grad.abs().max()) for parameter in model.parameters()) < 1e-4


def test_a_loss_of_weight_0_is_not_called_and_its_teacher_not_asked(folders: dict[str, Path]):
    class NeverAsked:
        def read(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError("the teacher was asked")

    model = student(folders)
    chosen = components({"use": "forward_kl", "weight": 0}, "cross_entropy")
    losses = objective(model, teacher=NeverAsked())(TokenBatch.of(windows(), device=CPU), 1.0, chosen)
    assert losses.raw_K[0] == 0
    assert losses.total.item() == pytest.approx(float(losses.raw_K[1]), rel=1e-6)


def test_a_loss_that_did_not_say_it_needs_a_teacher_does_not_get_one(folders: dict[str, Path]):
    registry = Registry("losses", package="toy_words", shared=LossOptions)

    @registry.register("sly")
    def sly(chunk: Chunk) -> TokenLoss:
        """Look at the teacher."""
        return TokenLoss(chunk.pair(1.0).teacher.log_NO.sum(-1))

    with pytest.raises(AssertionError, match="not registered with reads"):
        objective(student(folders))(TokenBatch.of(windows(), device=CPU), 1.0, components_of([registry.choose("sly")]))


def test_of_selected_tokens_the_gradient_is_that_of_a_plain_implementation(folders: dict[str, Path]):
    """The 30 % of each document on which the student is least sure, as heavy together as all of its tokens were."""
    model, batch = student(folders, "untied"), windows()
    found = gradients(model, batch, {"use": "cross_entropy", "top_entropy": 0.3})
    model.zero_grad()
    tokens = TokenBatch.of(batch, device=CPU)
    log_BTV = logits_of(model, tokens).log_softmax(dim=-1)
    entropy_BT = -(log_BTV.exp() * log_BTV).sum(dim=-1).detach()
    wanted = torch.zeros(())
    for row in range(8):
        for document in (1, 2):
            where = [t for t in range(1, 12) if tokens.documents_BT[row, t] == document and tokens.weights_BT[row, t]]
            chosen = sorted(where, key=lambda t: -float(entropy_BT[row, t - 1]))[: math.ceil(0.3 * len(where))]
            before, after = (float(tokens.weights_BT[row, each].sum()) for each in (where, chosen))
            for t in chosen:
                weight = tokens.weights_BT[row, t] * before / after
                wanted = wanted - weight * log_BTV[row, t - 1, tokens.ids_BT[row, t]]
    (wanted / tokens.weights_BT.sum()).backward()
    assert_close(found, {name: parameter.grad for name, parameter in model.named_parameters()})


def logits_of(model: Any, tokens: TokenBatch) -> Tensor:
    """Of each document as if it stood alone, in the places where the windows have it."""
    logits_BTV = torch.zeros(*tokens.ids_BT.shape, model.config.vocab_size)
    for row in range(len(logits_BTV)):
        for document in (1, 2):
            where_T = tokens.documents_BT[row] == document
            logits_BTV[row, where_T] = model(input_ids=tokens.ids_BT[row, where_T][None]).logits[0]
    return logits_BTV


def test_asked_for_nats_alone_it_gives_those_of_the_supervised_tokens(folders: dict[str, Path]):
    model, tokens = student(folders), TokenBatch.of(windows(), device=CPU)
    nats_BT = objective(model)(tokens, nats_only=True)
    wanted_BT = torch.zeros_like(nats_BT)
    log_BTV = logits_of(model, tokens).log_softmax(dim=-1)
    wanted_BT[:, 1:] = -log_BTV[:, :-1].gather(2, tokens.ids_BT[:, 1:, None])[..., 0]
    torch.testing.assert_close(nats_BT, wanted_BT.detach() * (tokens.weights_BT > 0), rtol=1e-4, atol=1e-5)
    assert not nats_BT.requires_grad


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements of any tensor that an operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.parametrize("count", [8, 64])
def test_no_tensor_of_all_tokens_by_all_words_is_ever_built(folders: dict[str, Path], count: int):
    model, teacher = student(folders), LiveTeacher(student(folders, "teacher"), bf16=False)
    module = objective(model, teacher=teacher, buffer_bytes=1)
    batch = TokenBatch.of(windows(count, length=48), device=CPU)
    with LargestTensor() as largest:
        module(batch, 1.0, components("forward_kl", "cross_entropy")).total.backward()
    num_tokens, vocab_size = int((batch.weights_BT > 0).sum()), model.config.vocab_size
    assert num_tokens > 100
    # the model's own widest activation is 96 wide
    assert largest.elements <= max(MIN_TOKENS * vocab_size, batch.ids_BT.numel() * 96)
    assert largest.elements < num_tokens * vocab_size
