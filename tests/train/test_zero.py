"""DeepSpeed's ZeRO 2 on two processes. That a step and a training come out as in one: test_two_processes.py and
test_launched_training.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.core.optional import installed
from demiurgic.models.load import load_model
from demiurgic.models.windows import Batch
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import accumulate, adamw, gradient_norm, refuse_non_finite_norm
from demiurgic.train.parallel import gradients, spread_with_optimizer, unwrapped
from demiurgic.train.weights import put_back, trained_weights
from tiny_models import tiny_model
from tiny_training import components
from two_processes import on_two_processes

pytestmark = pytest.mark.skipif(
    not installed("deepspeed"), reason='DeepSpeed is not installed: pip install "demiurgic[deepspeed]"'
)


@dataclass(frozen=True)
class Training:
    """The parts of a training, as one of the processes has them."""

    module: Any
    optimizer: Any
    accelerator: Any

    @property
    def inner(self) -> Any:
        return unwrapped(self.module)

    def add_gradient(self) -> None:
        """That of three windows of ten tokens, of which all but the first are supervised."""
        weights_BT = np.ones((3, 10), np.float32)
        weights_BT[:, 0] = 0
        batch = Batch(np.arange(30).reshape(3, 10), weights_BT, np.ones((3, 10), np.int64))
        asked = components("cross_entropy")
        accumulate(self.module, batch, components=asked, accelerator=self.accelerator, micro_batch=1)


def in_each_process(folder: Path) -> dict[str, Any]:
    """What the tests below look at, of one process."""
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    module, optimizer = spread_with_optimizer(
        objective(load_model(folder, device="cpu")),
        accelerator,
        strategy="deepspeed",
        optimizer=lambda module: adamw(module, weight_decay=0.1, betas=(0.9, 0.95)),
        micro_batch=1,
    )
    training = Training(module, optimizer, accelerator)
    return {"dropped": dropped(training), "put back": stepped_by_0(training), "spoiled": spoiled(training)}


def dropped(training: Training) -> tuple[float, int, float]:
    """The norm of a gradient, how many are left when it was dropped, and the norm of the same gradient made anew."""
    training.add_gradient()
    once = gradient_norm(training.inner)
    training.optimizer.zero_grad(set_to_none=True)
    left = len(list(gradients(training.inner)))
    training.add_gradient()
    return once, left, gradient_norm(training.inner)


def stepped_by_0(training: Training) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights that were put back over others, and the weights after a step of size 0."""
    put_back(training.inner, {name: weight + 1 for name, weight in trained_weights(training.inner).items()})
    before = {name: weight.numpy().copy() for name, weight in trained_weights(training.inner).items()}
    training.optimizer.zero_grad(set_to_none=True)
    training.add_gradient()
    training.optimizer.step()
    return before, {name: weight.numpy() for name, weight in trained_weights(training.inner).items()}


def spoiled(training: Training) -> tuple[list[str], str]:
    """The names of the gradients that this process owns, and what is said when the second spoils its last."""
    training.add_gradient()
    own = list(gradients(training.inner))
    if training.accelerator.process_index == 1:
        own[-1][1][:] = float("nan")
    norm = gradient_norm(training.inner)
    with pytest.raises(UserError) as found:
        refuse_non_finite_norm(norm, training.inner, step=7, windows=[1, 2])
    return [name for name, _ in own], str(found.value)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("zero")
    (folder / "out").mkdir()
    return on_two_processes(in_each_process, tiny_model(folder / "model", layers=1), out=folder / "out")


def test_a_gradient_that_was_dropped_leaves_nothing(found: list[dict[str, Any]]):
    for process in found:
        once, left, again = process["dropped"]
        assert once == again == found[0]["dropped"][0] > 0
        assert left == 0


def test_weights_that_are_put_back_are_those_it_goes_on_from(found: list[dict[str, Any]]):
    for process in found:
        before, after = process["put back"]
        assert before.keys() == after.keys()
        for name, weight in before.items():
            np.testing.assert_array_equal(after[name], weight, err_msg=name)


def test_a_gradient_that_one_process_owns_and_is_not_finite_is_named_by_both(found: list[dict[str, Any]]):
    (_, said), (names, said_by_the_owner) = (process["spoiled"] for process in found)
    assert said == said_by_the_owner
    assert f"the gradient's norm is nan, first that of {names[-1]}, on the windows 1, 2" in said
