from pathlib import Path

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.backbone import hidden_states, positions
from demiurgic.models.load import load_model
from tiny_models import tiny_model

DOCUMENTS = [[5, 9, 7], [20, 21, 22, 23, 24], [100]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    return load_model(tiny_model(tmp_path_factory.mktemp("backbone") / "model"), device="cpu")


def alone(model, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]


def states(model, ids: list[list[int]], documents: list[list[int]]) -> torch.Tensor:
    with torch.no_grad():
        return hidden_states(model, torch.tensor(ids), documents_BT=torch.tensor(documents))


def test_packed_documents_have_the_hidden_states_they_have_alone(model):
    ids = [[*(id for document in DOCUMENTS for id in document), 0, 0]]
    numbers = [[1, 1, 1, 2, 2, 2, 2, 2, 3, 0, 0]]
    packed = states(model, ids, numbers)[0]
    expected = torch.cat([alone(model, document) for document in DOCUMENTS])
    torch.testing.assert_close(packed[:9], expected, atol=1e-5, rtol=0)


def test_a_token_of_the_document_before_changes_nothing(model):
    numbers = [[1, 1, 2, 2, 2]]
    one, other = states(model, [[5, 9, 7, 20, 21]], numbers), states(model, [[100, 3, 7, 20, 21]], numbers)
    torch.testing.assert_close(one[:, 2:], other[:, 2:], atol=0, rtol=0)


@pytest.mark.parametrize("numbers", [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 1, 2, 2, 0]])
def test_the_ids_under_padding_do_not_matter(model, numbers: list[int]):
    real = torch.tensor(numbers) != 0
    one = torch.where(real, torch.tensor([5, 9, 7, 20, 21]), 0)
    other = torch.where(real, torch.tensor([5, 9, 7, 20, 21]), 77)
    documents = torch.tensor([numbers])
    with torch.no_grad():
        first = hidden_states(model, one[None], documents_BT=documents)[0, real]
        second = hidden_states(model, other[None], documents_BT=documents)[0, real]
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert torch.isfinite(first).all()


def test_a_document_after_padding_stands_as_if_alone(model):
    found = states(model, [[0, 0, 5, 9, 7]], [[0, 0, 1, 1, 1]])[0, 2:]
    torch.testing.assert_close(found, alone(model, [5, 9, 7]), atol=1e-5, rtol=0)


def test_windows_of_one_document_and_of_many_share_a_batch(model):
    found = states(model, [[5, 9, 7, 20], [20, 21, 22, 23]], [[1, 1, 2, 2], [1, 1, 1, 1]])
    torch.testing.assert_close(found[1], alone(model, [20, 21, 22, 23]), atol=1e-5, rtol=0)


def test_gradients_stay_finite_under_padding(tmp_path: Path):
    model = load_model(tiny_model(tmp_path / "model"), device="cpu")
    documents = torch.tensor([[1, 2, 2, 0, 0]])
    hidden_states(model, torch.tensor([[5, 9, 7, 0, 0]]), documents_BT=documents)[documents != 0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_positions_restart_at_each_document():
    documents = torch.tensor([[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
    assert positions(documents).tolist() == [[0, 1, 0, 1, 2, 0], [0, 1, 2, 3, 4, 5]]


def test_a_sliding_window_shorter_than_the_batch_is_refused(tmp_path: Path):
    model = load_model(tiny_model(tmp_path / "model"), device="cpu")
    model.config.sliding_window = 3
    with pytest.raises(UserError, match="last 3 tokens only"):
        states(model, [[5, 9, 7, 20]], [[1, 1, 2, 2]])


def test_every_attention_implementation_gives_the_same_hidden_states(model):
    ids, numbers = [[5, 9, 7, 20, 21, 22, 0]], [[1, 1, 1, 2, 2, 2, 0]]
    fused = states(model, ids, numbers)
    model.set_attn_implementation("eager")
    plain = states(model, ids, numbers)
    model.set_attn_implementation("sdpa")
    torch.testing.assert_close(plain[:, :6], fused[:, :6], atol=1e-5, rtol=0)
