import pytest
import torch

from demiurgic.models.likelihood import token_nats
from demiurgic.models.load import load_model
from tiny_models import tiny_model

IDS = torch.tensor([[5, 9, 7, 20, 21, 22, 0, 0], [30, 31, 32, 33, 34, 35, 36, 37]])
DOCUMENTS = torch.tensor([[1, 1, 1, 2, 2, 2, 0, 0], [1, 1, 1, 1, 1, 1, 1, 2]])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    return load_model(tiny_model(tmp_path_factory.mktemp("likelihood") / "model"), device="cpu")


def test_nats_are_those_of_the_whole_model_on_each_document_alone(model):
    found = token_nats(model, IDS, documents_BT=DOCUMENTS)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[20, 21, 22]])).logits
    expected = torch.nn.functional.cross_entropy(logits[0, :-1], torch.tensor([21, 22]), reduction="none")
    torch.testing.assert_close(found[0, 4:6], expected, atol=1e-5, rtol=1e-5)


def test_what_nothing_predicts_costs_nothing(model):
    found = token_nats(model, IDS, documents_BT=DOCUMENTS)
    silent = torch.tensor([[1, 0, 0, 1, 0, 0, 1, 1], [1, 0, 0, 0, 0, 0, 0, 1]], dtype=torch.bool)
    assert not found[silent].any()
    assert (found[~silent] > 0).all()


@pytest.mark.parametrize("chunk", [1, 2, 3, 512])
def test_the_chunk_size_never_changes_the_result(model, chunk: int):
    whole = token_nats(model, IDS, documents_BT=DOCUMENTS, chunk=10**6)
    torch.testing.assert_close(token_nats(model, IDS, documents_BT=DOCUMENTS, chunk=chunk), whole, atol=1e-6, rtol=1e-6)


def test_the_head_stays_in_fp32_under_autocast(model):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = token_nats(model, IDS, documents_BT=DOCUMENTS)
    exact = token_nats(model, IDS, documents_BT=DOCUMENTS)
    assert found.dtype == torch.float32
    # A head product in bf16 would be off by several percent of a nat; the body's bf16 alone is far below that.
    torch.testing.assert_close(found, exact, atol=5e-3, rtol=0)


def test_only_wanted_tokens_are_asked_for(model):
    ids_BT = torch.randint(0, model.config.vocab_size, (2, 12))
    documents_BT = torch.ones(2, 12, dtype=torch.long)
    wanted_BT = torch.rand(2, 12) < 0.4
    all_BT = token_nats(model, ids_BT, documents_BT=documents_BT)
    some_BT = token_nats(model, ids_BT, documents_BT=documents_BT, wanted_BT=wanted_BT)
    assert torch.allclose(some_BT, all_BT * wanted_BT, atol=1e-5)


def test_words_beyond_the_vocabulary_have_the_probability_0(model):
    found = token_nats(model, IDS, documents_BT=DOCUMENTS, vocab_size=40)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[20, 21, 22]])).logits[..., :40]
    expected = torch.nn.functional.cross_entropy(logits[0, :-1], torch.tensor([21, 22]), reduction="none")
    torch.testing.assert_close(found[0, 4:6], expected, atol=1e-5, rtol=1e-5)
    assert (found[0, 4:6] < token_nats(model, IDS, documents_BT=DOCUMENTS)[0, 4:6]).all()
