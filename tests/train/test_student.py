"""What saves memory or time, and changes nothing else."""

from pathlib import Path
from typing import Any

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.attention import SHORT_WINDOW
from demiurgic.models.windows import Windows
from demiurgic.train.config import TrainConfig
from demiurgic.train.student import open_student
from tiny_training import LENGTH, log_of, tiny_start, tiny_tokens, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    tiny_tokens(folder / "rows", tiny_start(folder / "start"))
    return folder


def losses_and_norms(step: Path) -> list[float]:
    return [line[name] for line in log_of(step) for name in ("total", "gradient_norm")]


@pytest.mark.parametrize("more", [{}, {"lora": {"rank": 2}}], ids=["full", "lora"])
def test_gradient_checkpointing_changes_no_gradient_and_runs_blocks_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
):
    from transformers.models.llama.modeling_llama import LlamaMLP

    calls = []
    forward = LlamaMLP.forward
    monkeypatch.setattr(
        LlamaMLP, "forward", lambda self, *args, **kwargs: (calls.append(1), forward(self, *args, **kwargs))[1]
    )
    plain = train(folder, str(tmp_path / "plain"), steps=3, **more)
    num_plain = len(calls)
    again = train(folder, str(tmp_path / "again"), steps=3, gradient_checkpointing=True, **more)
    assert losses_and_norms(again) == pytest.approx(losses_and_norms(plain), rel=1e-6)
    assert len(calls) - num_plain == 2 * num_plain


def test_an_implementation_of_attention_that_is_not_here_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="attention: flash_attention_2 needs"):
        train(folder, str(tmp_path / "s"), attention="flash_attention_2")


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_the_implementation_changes_rounding_alone(folder: Path, tmp_path: Path, name: str):
    plain = train(folder, str(tmp_path / "plain"), steps=2)
    found = train(folder, str(tmp_path / "s"), steps=2, attention=name)
    assert losses_and_norms(found) == pytest.approx(losses_and_norms(plain), rel=1e-4)


def test_what_the_student_writes_counts_for_the_choice_of_attention(tmp_path: Path):
    start = tiny_start(tmp_path / "start", layers=1, context=2048)
    tokens = tiny_tokens(tmp_path / "rows", start)
    given = {"model": str(start), "data": str(tokens), "teacher": str(start), "losses": ["reverse_kl"], "steps": 1}

    def attention(**more: Any) -> str:
        config = TrainConfig.model_validate({**given, **more})
        student = open_student(config, None, [Windows.open(tokens)], device="cpu", seed=0)
        return str(student.config._attn_implementation)

    assert attention() == "eager"
    assert attention(on_policy={"max_new_tokens": SHORT_WINDOW - LENGTH}) == "eager"
    assert attention(on_policy={"max_new_tokens": SHORT_WINDOW}) == "sdpa"


def test_compile_compiles_the_blocks_and_the_names_of_weights_stay(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    compiled = []
    # the compiler itself needs a C++ compiler and a minute
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
    train(folder, str(tmp_path / "s"), compile=True)
    assert compiled == ["LlamaDecoderLayer"] * 2
