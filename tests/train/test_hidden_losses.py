"""Losses on hidden states: their values, their gradients, their layers, and the map between two widths."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from demiurgic.core.errors import UserError
from demiurgic.core.registry import Registry
from demiurgic.core.seeds import Seeds
from demiurgic.models.load import load_model
from demiurgic.train.batch import TokenBatch
from demiurgic.train.components import Component
from demiurgic.train.hidden_loss import HiddenPair, projections
from demiurgic.train.losses import LOSSES, LossOptions
from demiurgic.train.objective import objective
from demiurgic.train.open_teacher import teacher_layers
from demiurgic.train.signals.live import LiveTeacher
from tiny_models import tiny_model
from tiny_training import components

BOTH = ("hidden_mse", "hidden_cosine")
BLOCKS = 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A student, and teachers that are as wide and wider."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "student": tiny_model(folder / "student", layers=2, hidden=32, intermediate=48, tied=False),
        "narrow": tiny_model(folder / "narrow", layers=BLOCKS, hidden=32, intermediate=48, seed=1),
        "wide": tiny_model(folder / "wide", layers=BLOCKS, hidden=64, intermediate=48, seed=2),
    }


def student(folders: dict[str, Path]) -> Any:
    return load_model(folders["student"], device="cpu")


def teacher(folders: dict[str, Path], name: str = "wide", *, layers: tuple[int, ...] = ()) -> LiveTeacher:
    return LiveTeacher(load_model(folders[name], device="cpu"), bf16=False, layers=layers)


def batch() -> TokenBatch:
    """Two windows, of two documents and of one with padding."""
    random = torch.Generator().manual_seed(0)
    documents_BT = torch.tensor([[1] * 5 + [2] * 5, [1] * 7 + [0] * 3])
    weights_BT = torch.tensor([[0, 1, 1, 0, 2, 0, 0, 1, 1, 0], [0, 0, 0, 0.5, 1, 1, 1, 0, 0, 0]])
    return TokenBatch(torch.randint(0, 290, (2, 10), generator=random), weights_BT, documents_BT)


def chosen(*losses: Any) -> tuple[tuple[Component, ...], list[Any]]:
    return components(*losses), [LOSSES.choose(loss) for loss in losses]


def test_a_loss_without_options_for_its_layers_asks_for_the_final_ones():
    registry = Registry("losses", package="toy_words", shared=LossOptions)

    @registry.register("hidden_l1", reads="hidden")
    def hidden_l1(pair: HiddenPair) -> Tensor:
        """Absolute differences."""
        return (pair.student_NE - pair.teacher_NE).abs().mean(dim=-1)

    assert teacher_layers([registry.choose("hidden_l1"), LOSSES.choose("forward_kl")]) == [-1]


def module_of(folders: dict[str, Path], *losses: Any, against: LiveTeacher) -> Any:
    return objective(student(folders), losses=chosen(*losses)[1], teacher=against)


def states(model: Any, tokens: TokenBatch, layer: int) -> Tensor:
    """The hidden states that predict the supervised tokens, as transformers numbers layers, document by document."""
    rows = []
    for ids_T, weights_T, documents_T in zip(tokens.ids_BT, tokens.weights_BT, tokens.documents_BT, strict=True):
        for document in range(1, int(documents_T.max()) + 1):
            where = documents_T == document
            output = model.get_decoder()(ids_T[where][None], output_hidden_states=True, use_cache=False)
            rows.append(output.hidden_states[layer][0][:-1][weights_T[where][1:] > 0])
    return torch.cat(rows)


@pytest.mark.parametrize("name", BOTH)
def test_the_value_and_the_gradient_are_those_of_the_definition_in_fp64(name: str):
    random = torch.Generator().manual_seed(0)
    student_NE, teacher_NE = (torch.randn(7, 5, generator=random) for _ in range(2))
    given = student_NE.clone().requires_grad_()
    value_N = LOSSES.choose(name)(HiddenPair(given, teacher_NE))
    value_N.sum().backward()
    a, b = student_NE.double().requires_grad_(), teacher_NE.double()
    if name == "hidden_mse":
        wanted_N = ((a - b) ** 2).sum(dim=1) / 5
    else:
        wanted_N = 1 - (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))
    wanted_N.sum().backward()
    torch.testing.assert_close(value_N.double(), wanted_N, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(given.grad.double(), a.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(("student_layer", "teacher_layer", "own", "theirs"), [(-1, -1, -1, -1), (1, -2, 1, 2)])
def test_in_the_objective_it_is_the_weighted_mean_over_the_positions_that_predict(
    folders: dict[str, Path], name: str, student_layer: int, teacher_layer: int, own: int, theirs: int
):
    loss = {"use": name, "weight": 0.5, "student_layer": student_layer, "teacher_layer": teacher_layer}
    against, tokens = teacher(folders, layers=(teacher_layer,)), batch()
    module = module_of(folders, loss, against=against)
    exact = copy.deepcopy(module).double()
    found = module(tokens, float(tokens.weights_BT.sum()), components(loss))
    found.total.backward()
    mapped_NE = exact.projections[name](states(exact.model, tokens, own))
    value_N = LOSSES.choose(name)(HiddenPair(mapped_NE, states(against.model.double(), tokens, theirs)))
    weights_N = tokens.weights_BT[tokens.weights_BT > 0].double()
    wanted = 0.5 * (value_N * weights_N).sum() / weights_N.sum()
    wanted.backward()
    assert found.total.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert found.raw_K.item() == pytest.approx(wanted.item() / 0.5, rel=1e-5)
    for parameter, wanted_parameter in zip(module.parameters(), exact.parameters(), strict=True):
        if wanted_parameter.grad is not None:
            torch.testing.assert_close(parameter.grad.double(), wanted_parameter.grad, rtol=1e-4, atol=1e-7)
        else:
            assert not parameter.grad.any()


def test_only_the_positions_before_supervised_tokens_get_a_gradient(folders: dict[str, Path]):
    against = teacher(folders)
    module = module_of(folders, "hidden_mse", against=against)
    seen: list[Tensor] = []

    def keep(norm: Any, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    module.model.get_decoder().norm.register_forward_hook(keep)
    module(batch(), 1.0, components("hidden_mse")).total.backward()
    assert seen[0].grad is not None
    before_BT = torch.zeros(2, 10, dtype=torch.bool)
    before_BT[:, :-1] = batch().weights_BT[:, 1:] > 0
    assert torch.equal(seen[0].grad.abs().sum(dim=-1) > 0, before_BT)


def test_the_blocks_above_an_inner_layer_and_the_head_get_the_gradient_0(folders: dict[str, Path]):
    """0 and not none: processes that share gradients out wait for each parameter's."""
    against = teacher(folders, layers=(1,))
    loss = {"use": "hidden_mse", "student_layer": 1, "teacher_layer": 1}
    module = module_of(folders, loss, against=against)
    module(batch(), 1.0, components(loss)).total.backward()
    first, second = module.model.get_decoder().layers
    assert first.mlp.up_proj.weight.grad.any()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in second.parameters())
    assert not module.model.lm_head.weight.grad.any()


def test_a_loss_of_weight_0_leaves_its_map_with_the_gradient_0(folders: dict[str, Path]):
    losses = ({"use": "hidden_mse", "weight": 0}, "cross_entropy")
    module = module_of(folders, *losses, against=teacher(folders))
    found = module(batch(), 1.0, components(*losses))
    found.total.backward()
    assert found.raw_K[0] == 0
    assert not module.projections["hidden_mse"].weight.grad.any()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradient_checkpointing_changes_nothing(folders: dict[str, Path], checkpointing: bool):
    against = teacher(folders, layers=(2,))
    losses = ({"use": "hidden_mse", "student_layer": 1, "teacher_layer": 2}, "cross_entropy")
    plain = module_of(folders, *losses, against=against).train()
    plain(batch(), 1.0, components(*losses)).total.backward()
    other = module_of(folders, *losses, against=against).train()
    if checkpointing:
        other.model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    other(batch(), 1.0, components(*losses)).total.backward()
    for (name, wanted), found in zip(plain.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, msg=lambda m, name=name: f"{name}: {m}")


def test_between_equal_widths_the_map_begins_as_the_identity(folders: dict[str, Path]):
    module = module_of(folders, "hidden_mse", against=teacher(folders, "narrow"))
    torch.testing.assert_close(module.projections["hidden_mse"].weight, torch.eye(32))
    assert module.projections["hidden_mse"].weight.requires_grad


def test_a_map_to_a_wider_teacher_keeps_lengths_and_depends_on_the_seed_and_the_name(folders: dict[str, Path]):
    model, against = student(folders), teacher(folders)
    losses = [LOSSES.choose(name) for name in ("hidden_mse", "hidden_mse")]
    maps = projections(model, against, losses, seeds=Seeds(1))
    weight_ED: Tensor = maps["hidden_mse"].weight  # type: ignore[assignment]
    assert weight_ED.shape == (64, 32) and list(maps) == ["hidden_mse", "hidden_mse_2"]
    torch.testing.assert_close(weight_ED.T @ weight_ED, torch.eye(32), rtol=0, atol=1e-5)
    assert torch.equal(weight_ED, projections(model, against, losses, seeds=Seeds(1))["hidden_mse"].weight)
    assert not torch.equal(weight_ED, projections(model, against, losses, seeds=Seeds(2))["hidden_mse"].weight)
    assert not torch.equal(weight_ED, maps["hidden_mse_2"].weight)


def test_making_a_map_draws_nothing_from_the_global_stream(folders: dict[str, Path]):
    model, against = student(folders), teacher(folders)
    before = torch.get_rng_state()
    projections(model, against, [LOSSES.choose("hidden_mse")], seeds=Seeds(1))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("layer", [BLOCKS, -BLOCKS])
def test_the_first_and_the_last_block_have_a_number(folders: dict[str, Path], layer: int):
    wanted_NE = states(load_model(folders["wide"], device="cpu"), batch(), 1) if layer < 0 else None
    tokens = batch().supervised()
    found_NE = teacher(folders, layers=(layer,)).read(batch(), tokens).hidden(layer)
    assert found_NE.shape == (len(tokens.labels_N), 64)
    if wanted_NE is not None:
        torch.testing.assert_close(found_NE, wanted_NE, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [3, -3])
def test_a_layer_that_the_student_does_not_have_is_refused(folders: dict[str, Path], layer: int):
    with pytest.raises(UserError, match=f"no layer {layer} in a model of 2 blocks; wanted 1 to 2"):
        module_of(folders, {"use": "hidden_mse", "student_layer": layer}, against=teacher(folders))


def test_a_layer_that_the_teacher_does_not_have_is_refused(folders: dict[str, Path]):
    with pytest.raises(UserError, match="no layer 9 in a model of 3 blocks"):
        teacher(folders, layers=(9,))


def test_a_teacher_without_hidden_states_is_refused(folders: dict[str, Path]):
    with pytest.raises(UserError, match="The loss hidden_cosine compares hidden states, and this teacher gives none"):
        objective(student(folders), losses=[LOSSES.choose("hidden_cosine")])


def test_a_layer_of_0_is_refused_when_the_recipe_is_read():
    with pytest.raises(Exception, match="student_layer: layers are counted from 1"):
        LOSSES.choose({"use": "hidden_mse", "student_layer": 0})
