"""Hidden states of inner layers, by number."""

from pathlib import Path
from typing import Any

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.layers import FINAL, block_of, layer_states, refuse_missing_layer
from demiurgic.models.load import load_model
from tiny_models import tiny_model

IDS_BT = torch.randint(0, 250, (2, 9), generator=torch.Generator().manual_seed(0))
DOCUMENTS_BT = torch.ones_like(IDS_BT)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model")
    return load_model(tiny_model(folder / "model", layers=3, hidden=32, intermediate=48), device="cpu")


def test_layers_are_the_outputs_of_blocks_and_the_final_one_has_its_norm(model: Any):
    found = layer_states(model, IDS_BT, documents_BT=DOCUMENTS_BT, layers=[1, -2, 3])
    wanted = model.get_decoder()(IDS_BT, output_hidden_states=True).hidden_states
    torch.testing.assert_close(found[1], wanted[1])
    torch.testing.assert_close(found[-2], wanted[2])
    torch.testing.assert_close(model.get_decoder().norm(found[3]), wanted[3])
    torch.testing.assert_close(found[FINAL], wanted[3])


def test_documents_of_a_window_do_not_see_one_another(model: Any):
    documents_BT = torch.tensor([[1] * 4 + [2] * 5] * 2)
    found = layer_states(model, IDS_BT, documents_BT=documents_BT, layers=[2])[2]
    alone = layer_states(model, IDS_BT[:, 4:], documents_BT=DOCUMENTS_BT[:, 4:], layers=[2])[2]
    torch.testing.assert_close(found[:, 4:], alone, rtol=1e-4, atol=1e-6)


def test_nothing_is_left_on_the_model(model: Any):
    before = [dict(block._forward_hooks) for block in model.get_decoder().layers]
    layer_states(model, IDS_BT, documents_BT=DOCUMENTS_BT, layers=[1])
    with pytest.raises(UserError):
        layer_states(model, IDS_BT, documents_BT=DOCUMENTS_BT, layers=[1, 7])
    assert [dict(block._forward_hooks) for block in model.get_decoder().layers] == before


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo looks at it
def test_compiled_blocks_tell_their_states_too(tmp_path: Path):
    model: Any = load_model(tiny_model(tmp_path / "model", layers=2, hidden=32, intermediate=48), device="cpu")
    wanted = layer_states(model, IDS_BT, documents_BT=DOCUMENTS_BT, layers=[1])[1]
    for block in model.get_decoder().layers:
        block.compile(backend="eager")
    layer_states(model, IDS_BT, documents_BT=DOCUMENTS_BT, layers=[])
    torch.testing.assert_close(layer_states(model, IDS_BT, documents_BT=DOCUMENTS_BT, layers=[1])[1], wanted)


@pytest.mark.parametrize(("layer", "position"), [(1, 0), (4, 3), (-2, 2), (-4, 0)])
def test_blocks_are_counted_from_1_and_from_the_end(layer: int, position: int):
    assert block_of(layer, num_blocks=4) == position


@pytest.mark.parametrize("layer", [0, 5, -5, -1])
def test_a_number_without_a_block_is_refused(layer: int):
    with pytest.raises(UserError, match="wanted 1 to 4"):
        block_of(layer, num_blocks=4)


def test_the_final_layer_is_always_there(model: Any):
    refuse_missing_layer(model, FINAL)
    with pytest.raises(UserError, match="no layer 4 in a model of 3 blocks"):
        refuse_missing_layer(model, 4)
