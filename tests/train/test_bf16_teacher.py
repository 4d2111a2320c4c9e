"""A teacher that is stored in bf16: in half the memory, with logits that no sum was rounded for."""

from pathlib import Path

import pytest
import torch

from caches import windows_of
from demiurgic.models.load import load_model, save_model
from demiurgic.models.precision import Precision
from demiurgic.models.windows import Windows
from demiurgic.train.batch import TokenBatch
from demiurgic.train.chunk import Prediction, Workspace
from demiurgic.train.config import TrainConfig
from demiurgic.train.memory import needs_of
from demiurgic.train.open_teacher import live_teacher
from demiurgic.train.signals.live import LiveTeacher
from tiny_training import artifact, tiny_start, tiny_tokens

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bf16")
    start = tiny_start(folder / "start")
    tiny_tokens(folder / "rows", start)
    plain = tiny_start(folder / "fp32", seed=1)
    save_model(load_model(plain, device="cpu", dtype="bfloat16"), plain, folder / "bf16" / "model")
    artifact(folder / "bf16" / "model", kind="model")
    return folder


def opened(folder: Path, stored: str, precision: Precision) -> LiveTeacher:
    found = live_teacher(
        folder / stored / "model",
        windows=windows_of(folder),
        reader=folder / "start" / "model",
        precision=precision,
        device=CPU,
    )
    assert isinstance(found, LiveTeacher)
    return found


@pytest.mark.parametrize(
    ("stored", "precision", "held"),
    [("bf16", "bf16", torch.bfloat16), ("bf16", "fp32", torch.float32), ("fp32", "bf16", torch.float32)],
)
def test_a_teacher_is_held_as_it_is_stored_where_products_are_bf16(
    folder: Path, stored: str, precision: Precision, held: torch.dtype
):
    assert {weight.dtype for weight in opened(folder, stored, precision).model.parameters()} == {held}


def test_its_logits_are_products_in_fp32_unrounded(folder: Path):
    teacher = opened(folder, "bf16", "bf16")
    windows: Windows = windows_of(folder)
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    tokens = batch.supervised()
    num_tokens, workspace = len(tokens.labels_N), Workspace()
    workspace.next_chunk(num_tokens=num_tokens, vocab_size=windows.vocab_size, capacity=num_tokens, device=CPU)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = teacher.read(batch, tokens)
    found = said.chunk(slice(0, num_tokens), workspace)
    assert isinstance(found, Prediction)
    head_VD = teacher.model.get_output_embeddings().weight[: windows.vocab_size]
    wanted_NV = (said.hidden(-1).double() @ head_VD.double().T).log_softmax(-1)
    assert found.at(1.0).log_NO.dtype == torch.float32
    torch.testing.assert_close(found.at(1.0).log_NO.double(), wanted_NV, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("precision", "each"), [("bf16", 2), ("fp32", 4)])
def test_it_is_counted_as_it_is_held(folder: Path, precision: Precision, each: int):
    values = {"model": folder / "start", "data": folder / "rows", "teacher": folder / "bf16", "losses": ["forward_kl"]}
    config = TrainConfig.model_validate({**values, "steps": 1, "precision": precision})
    num_weights = sum(weight.numel() for weight in opened(folder, "bf16", precision).model.parameters())
    assert needs_of(config, CPU, processes=1).parts["teacher"] == each * num_weights
