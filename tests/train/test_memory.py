"""A batch that does not fit, and what it would need."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.models.head import OutputHead
from demiurgic.models.load import load_model
from demiurgic.models.windows import Windows
from demiurgic.run.context import Strategy
from demiurgic.train.chunk import Workspace
from demiurgic.train.config import TrainConfig
from demiurgic.train.head_loss import head_losses
from demiurgic.train.losses import LOSSES
from demiurgic.train.memory import (
    OWN_STRIPS,
    WRITING,
    account,
    advice,
    needs_of,
    needs_to_load,
    refuse_what_cannot_fit,
    strips_of,
    too_little_is_a_users_matter,
)
from demiurgic.train.walk import Supervised
from tiny_training import LENGTH, FixedTeacher, components, tiny_start, tiny_tokens

CPU = torch.device("cpu")
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
        too_little_is_a_users_matter(config_of(folder), CPU, processes=1),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_any_other_error_passes(folder: Path):
    with (
        pytest.raises(RuntimeError, match="^shapes differ$"),
        too_little_is_a_users_matter(config_of(folder), CPU, processes=1),
    ):
        raise RuntimeError("shapes differ")


def test_what_can_be_counted_is_counted(folder: Path):
    model = load_model(folder / "start" / "model", device="cpu")
    count = sum(parameter.numel() for parameter in model.parameters())
    parts = needs_of(config_of(folder, teacher=str(folder / "teacher"), losses=["forward_kl"]), CPU, processes=1).parts
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (4 * count, 4 * count, 8 * count)
    assert parts["teacher"] == 4 * count


def test_an_adapter_trains_little_and_4_bits_hold_little(folder: Path):
    full = needs_of(config_of(folder), CPU, processes=1).parts
    lora = needs_of(config_of(folder, lora={"rank": 2}), CPU, processes=1).parts
    nf4 = needs_of(config_of(folder, lora={"rank": 2, "precision": "nf4"}), CPU, processes=1).parts
    assert lora["optimizer"] < 0.1 * full["optimizer"]
    assert nf4["weights"] < lora["weights"]


def test_the_settings_that_are_named_do_make_it_smaller(folder: Path):
    def activations(**values: Any) -> int:
        return needs_of(config_of(folder, **values), CPU, processes=1).parts["activations"]

    whole = activations(batch=8)
    assert activations(batch=8, micro_batch=4) == whole // 2
    assert activations(batch=8, gradient_checkpointing=True) < whole
    assert needs_of(config_of(folder, batch=8), CPU, processes=2).parts["activations"] == whole // 2


def test_the_account_names_the_largest_part_first(folder: Path):
    text = account(needs_of(config_of(folder, batch=16), CPU, processes=1))
    assert text.startswith("It needs about ")
    assert "teacher" not in text


def on_policy(folder: Path, **options: Any) -> TrainConfig:
    return config_of(folder, teacher=str(folder / "teacher"), losses=["reverse_kl"], on_policy=options, batch=4)


def test_what_the_student_writes_makes_windows_longer_as_far_as_its_context(folder: Path):
    def activations(config: TrainConfig) -> int:
        return needs_of(config, CPU, processes=1).parts["activations"]

    without = activations(config_of(folder, batch=4, attention="sdpa"))
    assert activations(on_policy(folder, max_new_tokens=LENGTH)) > 2 * without
    assert activations(on_policy(folder, max_new_tokens=256)) == activations(on_policy(folder, max_new_tokens=10**6))


def test_many_rows_at_once_need_keys_and_values_of_all(folder: Path):
    def writing(rows: int) -> int:
        parts = needs_of(on_policy(folder, rows=rows), CPU, processes=1).parts
        return parts[WRITING] + parts["activations"]

    one_row = 2 * 4 * 2 * 32 * (LENGTH + 128)  # keys and values in fp32, of two layers with two heads of 16
    assert writing(2_000) - writing(1_000) >= 1_000 * one_row
    assert needs_of(config_of(folder), CPU, processes=1).parts[WRITING] == 0


def test_where_the_student_writes_the_settings_of_that_are_named_first(folder: Path):
    config = on_policy(folder, rows=3_000, max_new_tokens=64)
    text = advice(config, needs_of(config, CPU, processes=1))
    assert text.startswith(
        "Set on_policy.rows: 1500 (now 3000), or a smaller on_policy.max_new_tokens (now 64), or micro_"
    )


def test_loss_buffers_are_no_larger_than_the_tokens_there_are(folder: Path):
    def buffers(**values: Any) -> int:
        found = needs_of(config_of(folder, lora={"rank": 2}, **values), CPU, processes=1).parts["loss buffers"]
        return found // (4 * Windows.open(folder / "rows" / "tokens").vocab_size)

    assert buffers(batch=1) == (1 + 2) * LENGTH
    assert buffers(batch=4) == (1 + 2) * 4 * LENGTH
    assert buffers(batch=4, micro_batch=1) == buffers(batch=1)
    taught = {"teacher": str(folder / "teacher"), "losses": ["forward_kl", "jsd", "cross_entropy"]}
    assert buffers(batch=1, **taught) == (2 + 4 + 2 * OWN_STRIPS) * LENGTH


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of more blocks than the two that shards are put together for."""
    folder = tmp_path_factory.mktemp("deep")
    tiny_tokens(folder / "rows", tiny_start(folder / "start", layers=8))
    return folder


def total(folder: Path, strategy: Strategy, *, processes: int, **values: Any) -> int:
    return needs_of(config_of(folder, **values), CPU, processes=processes, strategy=strategy).total


def test_shards_make_what_each_process_needs_smaller(folder: Path, deep: Path):
    parts = needs_of(config_of(deep, batch=8), CPU, processes=8, strategy="fsdp2").parts
    whole = needs_of(config_of(deep, batch=8), CPU, processes=8).parts
    for name in ("gradients", "optimizer"):
        assert parts[name] == whole[name] // 8
    assert parts["shards of weights"] == whole["weights"] // 8
    assert total(folder, "deepspeed", processes=8, batch=8) < total(folder, "ddp", processes=8, batch=8)
    assert total(folder, "fsdp2", processes=1, batch=8) == total(folder, "ddp", processes=1, batch=8)


def say_what_fits(
    folder: Path, there: int, monkeypatch: pytest.MonkeyPatch, *, strategy: Strategy, processes: int = 8
) -> None:
    """As on GPUs with so much memory."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (there, there))
    device, console = torch.device("cuda:0"), Console(quiet=True)
    config = config_of(folder, batch=processes)
    refuse_what_cannot_fit(config, device, processes=processes, strategy=strategy, console=console)


def test_what_fits_only_in_shards_is_taken_in_shards(folder: Path, monkeypatch: pytest.MonkeyPatch):
    there = total(folder, "fsdp2", processes=8, batch=8)
    say_what_fits(folder, there, monkeypatch, strategy="fsdp2")
    with pytest.raises(UserError, match="The training does not fit: the GPU has .*, or --strategy fsdp2"):
        say_what_fits(folder, there, monkeypatch, strategy="ddp")


def test_shards_are_cut_from_a_whole_model(deep: Path, monkeypatch: pytest.MonkeyPatch):
    there = needs_to_load(config_of(deep)).total - 1
    with pytest.raises(UserError, match="The training cannot begin: .* models are whole while they are loaded"):
        say_what_fits(deep, there, monkeypatch, strategy="fsdp2", processes=64)


def test_no_setting_is_named_that_is_set_or_would_be_refused(folder: Path):
    def said(strategy: Strategy, *, processes: int, **values: Any) -> str:
        config = config_of(folder, **values)
        needs = needs_of(config, CPU, processes=processes, strategy=strategy)
        return advice(config, needs, processes=processes, strategy=strategy)

    assert "several GPUs with --processes N --strategy fsdp2" in said("ddp", processes=1)
    assert "more GPUs (now --processes 4)" in said("fsdp2", processes=4)
    assert "fsdp2" not in said("fsdp2", processes=4)
    assert "nf4" not in said("fsdp2", processes=4, lora={"rank": 2})
    assert "fsdp2" not in said("ddp", processes=1, lora={"rank": 2, "precision": "nf4"})
    assert "micro_batch" not in said("ddp", processes=8, batch=8)
    assert "micro_batch: 2 (now 4)" in said("ddp", processes=2, batch=8)


def test_a_base_is_counted_in_what_it_is_loaded_in(folder: Path):
    # its folder is stored in fp32, which bf16 products do not change
    parts = [
        needs_of(config_of(folder, lora={"rank": 2}, precision=precision), CPU, processes=1).parts["weights"]
        for precision in ("bf16", "fp32")
    ]
    assert parts[0] == parts[1]


class Strips(Workspace):
    """Knows every buffer that was lent."""

    def __init__(self) -> None:
        super().__init__()
        self.lent: set[int] = set()

    def lend(self) -> torch.Tensor:
        found = super().lend()
        self.lent.add(found.data_ptr())
        return found


DIVERGENCES = [name for name, entry in LOSSES.entries().items() if entry.facts.get("reads") == "distribution"]


@pytest.mark.parametrize("hotter", [0.0, 0.5], ids=["one temperature", "several"])
@pytest.mark.parametrize(
    "names",
    [["cross_entropy"], *([name] for name in DIVERGENCES), ["forward_kl", "jsd"], ["cross_entropy", *DIVERGENCES]],
    ids="+".join,
)
def test_no_more_strips_are_lent_than_are_counted(names: list[str], hotter: float):
    strips, workspace = Strips(), Workspace()
    vars(workspace)["strips"] = strips
    student_ND, weight_VD = torch.randn(9, 4, requires_grad=True), torch.randn(50, 4)
    tokens = Supervised(torch.zeros(9, dtype=torch.long), torch.full((9,), 1 / 9), FixedTeacher(torch.randn(9, 50)))
    losses = [{"use": name, "temperature": 1.0 + hotter * position} for position, name in enumerate(names)]
    head_losses(student_ND, OutputHead(weight_VD), tokens, components=components(*losses), workspace=workspace)
    counted = strips_of([LOSSES.choose(loss) for loss in losses])
    assert len(strips.lent) <= counted <= 2 * len(strips.lent)
