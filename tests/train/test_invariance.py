"""What must not change a gradient: how a step's text is cut into micro-batches, and where its documents lie."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from demiurgic.models.load import load_model
from demiurgic.models.tokenizer import Encoded
from demiurgic.models.windows import Batch, pack
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.losses import LOSSES
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import accumulate
from demiurgic.train.signals.live import LiveTeacher
from demiurgic.train.source import documents_alike
from tiny_models import tiny_model
from tiny_training import components

CPU = torch.device("cpu")
LENGTHS = [3, 14, 7, 5, 11, 4, 13, 6]

CASES: dict[str, list[Any]] = {
    "two losses": [{"use": "forward_kl", "weight": 0.9}, {"use": "cross_entropy", "weight": 0.1}],
    "selected tokens": [
        {"use": "forward_kl", "top_entropy": 0.4},
        {"use": "forward_kl", "top_entropy": 0.2, "temperature": 2.0},
        "cross_entropy",
    ],
    "selected tokens alone": [{"use": "forward_kl", "top_entropy": 0.3}],
    "hidden states": [
        {"use": "hidden_mse", "weight": 0.3},
        {"use": "hidden_cosine", "student_layer": 1, "teacher_layer": 2},
        "forward_kl",
    ],
    "hidden states of selected tokens": [{"use": "hidden_mse", "top_entropy": 0.5}],
}
each_case = pytest.mark.parametrize("losses", CASES.values(), ids=CASES)
each_mean = pytest.mark.parametrize("average", ["tokens", "documents"])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    student = tiny_model(folder / "student", layers=2, hidden=32, intermediate=48, tied=False)
    teacher = tiny_model(folder / "teacher", layers=2, hidden=48, heads=4, intermediate=48, seed=1)
    return {name: load_model(path, device="cpu") for name, path in (("student", student), ("teacher", teacher))}


def documents() -> list[Encoded]:
    """Of unequal lengths, with unequal weights; of some nothing is supervised but the last token."""
    random = np.random.default_rng(0)
    weights = [random.choice([0.0, 0.5, 1.0, 2.0], size=length) for length in LENGTHS]
    for row in weights:
        row[0], row[-1] = 0.0, 1.0
    return [Encoded(random.integers(0, 290, len(row)).tolist(), row.tolist()) for row in weights]


def batch(*, length: int, average: str, apart: bool = False) -> Batch:
    """All documents, packed into windows, or each in a window of its own."""
    parts = [[document] for document in documents()] if apart else [documents()]
    packed = [pack(part, length=length, packing="fit") for part in parts]
    joined = (
        np.concatenate([getattr(found, name) for found in packed]) for name in ("ids_NT", "weights_NT", "documents_NT")
    )
    ids, weights, numbers = joined
    found = Batch(ids.astype(np.int64), weights.astype(np.float32), numbers.astype(np.int64))
    return documents_alike(found) if average == "documents" else found


def gradients(models: dict[str, Any], given: Batch, losses: list[Any], *, micro_batch: int) -> dict[str, Tensor]:
    accelerator = accelerator_on(CPU, "fp32")
    teacher = LiveTeacher(models["teacher"], bf16=False, layers=(2,), vocab_size=290)
    chosen = [LOSSES.choose(loss) for loss in losses]
    module = objective(models["student"], losses=chosen, teacher=teacher, vocab_size=290)
    module.zero_grad()
    accumulate(module, given, components=components(*losses), accelerator=accelerator, micro_batch=micro_batch)
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert any(gradient.any() for gradient in wanted.values())
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


@each_mean
@each_case
def test_batches_of_8_by_1_and_4_by_2_and_1_by_8_have_one_gradient(
    models: dict[str, Any], losses: list[Any], average: str
):
    whole = batch(length=max(LENGTHS), average=average, apart=True)
    assert len(whole.ids_BT) == 8
    wanted = gradients(models, whole, losses, micro_batch=8)
    for micro_batch in (2, 1):
        assert_same(gradients(models, whole, losses, micro_batch=micro_batch), wanted)


@each_mean
@each_case
def test_packed_documents_have_the_gradient_of_padded_ones(models: dict[str, Any], losses: list[Any], average: str):
    padded = batch(length=max(LENGTHS), average=average, apart=True)
    packed = batch(length=32, average=average)
    assert len(packed.ids_BT) == 2
    assert_same(gradients(models, packed, losses, micro_batch=2), gradients(models, padded, losses, micro_batch=3))


def test_a_mean_over_documents_is_another_than_one_over_tokens(models: dict[str, Any]):
    by_token, by_document = (
        gradients(models, batch(length=32, average=average), ["cross_entropy"], micro_batch=2)["model.lm_head.weight"]
        for average in ("tokens", "documents")
    )
    assert not torch.allclose(by_token, by_document, rtol=1e-2)


def test_a_mean_over_documents_is_the_mean_of_the_documents_means(models: dict[str, Any]):
    alone = [
        gradients(models, batch_of_one, ["cross_entropy"], micro_batch=1)["model.lm_head.weight"]
        for batch_of_one in _one_by_one(batch(length=max(LENGTHS), average="tokens", apart=True))
    ]
    found = gradients(models, batch(length=32, average="documents"), ["cross_entropy"], micro_batch=2)
    wanted = torch.stack(alone).mean(dim=0)
    torch.testing.assert_close(found["model.lm_head.weight"], wanted, rtol=1e-4, atol=1e-6)


def _one_by_one(whole: Batch) -> list[Batch]:
    arrays = (whole.ids_BT, whole.weights_BT, whole.documents_BT)
    return [Batch(*(array[row : row + 1] for array in arrays)) for row in range(len(whole.ids_BT))]
