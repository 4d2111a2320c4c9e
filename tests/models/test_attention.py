"""Implementations of attention by name, and how each is told where documents end."""

from pathlib import Path

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.attention import use_attention
from demiurgic.models.backbone import hidden_states, one_long_row
from demiurgic.models.load import load_model
from tiny_models import tiny_model

IDS_BT = torch.arange(24).reshape(2, 12) + 5
DOCUMENTS_BT = torch.tensor([[1] * 5 + [2] * 7, [1] * 4 + [2] * 5 + [0] * 3])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("attention") / "model")


def states(folder: Path, name: str) -> torch.Tensor:
    model = load_model(folder, device="cpu")
    use_attention(model, name, length=12, precision="fp32")
    assert name in ("auto", model.config._attn_implementation)
    with torch.no_grad():
        return hidden_states(model, IDS_BT, documents_BT=DOCUMENTS_BT)[DOCUMENTS_BT != 0]


@pytest.mark.parametrize("name", ["auto", "sdpa"])
def test_every_implementation_gives_the_same_states(folder: Path, name: str):
    torch.testing.assert_close(states(folder, name), states(folder, "eager"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["flash_attention_2", "flash_attention_3"])
def test_flash_attention_without_a_gpu_says_what_is_missing_and_what_to_set(folder: Path, name: str):
    with pytest.raises(UserError, match=r"needs .*a CUDA device \(this is cpu\) and the package .*Set attention: sdpa"):
        use_attention(load_model(folder, device="cpu"), name, length=12, precision="bf16")


def test_flexible_attention_is_refused_on_a_cpu(folder: Path):
    with pytest.raises(UserError, match="flex_attention has no backward pass on CPUs. Set attention: sdpa"):
        use_attention(load_model(folder, device="cpu"), "flex_attention", length=12, precision="fp32")


def test_flash_attention_is_told_where_each_document_begins_in_one_long_row():
    told = one_long_row(DOCUMENTS_BT)
    assert told["cu_seq_lens_q"].tolist() == [0, 5, 12, 16, 21, 24]
    assert told["cu_seq_lens_q"].dtype == torch.int32
    assert told["max_length_q"] == 7
    assert told["position_ids"].tolist() == [[*range(5), *range(7), *range(4), *range(5), *range(3)]]


def test_the_long_row_is_what_documents_see_alone(folder: Path):
    """The library's own reading of such a row (by positions that restart), which flash attention shares."""
    model = load_model(folder, device="cpu")
    told = one_long_row(DOCUMENTS_BT)
    with torch.no_grad():
        output = model.get_decoder()(IDS_BT.reshape(1, -1), position_ids=told["position_ids"], use_cache=False)
    found = output.last_hidden_state.reshape(2, 12, -1)[DOCUMENTS_BT != 0]
    torch.testing.assert_close(found, states(folder, "eager"), rtol=1e-4, atol=1e-5)
