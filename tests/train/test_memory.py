"""A batch that does not fit, and what it would need."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.load import load_model
from demiurgic.train.config import TrainConfig
from demiurgic.train.memory import account, needs_of, too_little_is_a_users_matter
from tiny_training import tiny_start, tiny_tokens

TOO_MUCH = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tiny_training import quiet, train
from demiurgic.core.errors import UserError
import torch
(used,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize"))
limit = int(used) * 1024 + (700 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    train(Path({folder!r}), {out!r}, steps=1, batch=8000, context=quiet())
except UserError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    tiny_tokens(folder / "rows", tiny_start(folder / "start"))
    tiny_start(folder / "teacher", seed=1)
    return folder


def config_of(folder: Path, **values: Any) -> TrainConfig:
    given = {"model": str(folder / "start"), "data": str(folder / "rows"), "steps": 1, "precision": "fp32"}
    return TrainConfig.model_validate({**given, **values})


def test_an_allocation_that_fails_is_answered_with_the_estimate_and_the_settings(folder: Path, tmp_path: Path):
    script = TOO_MUCH.format(tests=str(Path(__file__).parents[1]), folder=str(folder), out=str(tmp_path / "s"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "does not fit into memory (can't allocate memory: you tried to allocate" in done.stdout, done.stderr
    assert "activations 8" in done.stdout
    assert "Set micro_batch: 4000 (now 8000), or gradient_checkpointing: true" in done.stdout


def test_what_cuda_raises_is_answered_too(folder: Path):
    with (
        pytest.raises(UserError, match=r"CUDA out of memory.*It needs about .*Set "),
        too_little_is_a_users_matter(config_of(folder), processes=1),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_any_other_error_passes(folder: Path):
    with (
        pytest.raises(RuntimeError, match="^shapes differ$"),
        too_little_is_a_users_matter(config_of(folder), processes=1),
    ):
        raise RuntimeError("shapes differ")


def test_what_can_be_counted_is_counted(folder: Path):
    model = load_model(folder / "start" / "model", device="cpu")
    count = sum(parameter.numel() for parameter in model.parameters())
    parts = needs_of(config_of(folder, teacher=str(folder / "teacher"), losses=["forward_kl"]), processes=1).parts
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (4 * count, 4 * count, 8 * count)
    assert parts["teacher"] == 4 * count


def test_an_adapter_trains_little_and_4_bits_hold_little(folder: Path):
    full = needs_of(config_of(folder), processes=1).parts
    lora = needs_of(config_of(folder, lora={"rank": 2}), processes=1).parts
    nf4 = needs_of(config_of(folder, lora={"rank": 2, "precision": "nf4"}), processes=1).parts
    assert lora["optimizer"] < 0.1 * full["optimizer"]
    assert nf4["weights"] < lora["weights"]


def test_the_settings_that_are_named_do_make_it_smaller(folder: Path):
    def activations(**values: Any) -> int:
        return needs_of(config_of(folder, **values), processes=1).parts["activations"]

    whole = activations(batch=8)
    assert activations(batch=8, micro_batch=4) == whole // 2
    assert activations(batch=8, gradient_checkpointing=True) < whole
    assert needs_of(config_of(folder, batch=8), processes=2).parts["activations"] == whole // 2


def test_the_account_names_the_largest_part_first(folder: Path):
    text = account(needs_of(config_of(folder, batch=16), processes=1))
    assert text.startswith("It needs about ")
    assert "teacher" not in text
