"""Text drawn from a model with given noise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.load import load_model
from demiurgic.models.sample import Prompt, Written, draw, sample
from tiny_models import tiny_model

STOP = 2
VOCAB = 290
PROMPTS = [[5, 9, 12], [40, 41, 42, 43, 44, 45, 46], [7, 8], [100, 3, 90, 91, 92]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model")
    return load_model(tiny_model(folder / "model", layers=2, hidden=32, intermediate=48), device="cpu")


def prompts(*, num_tokens: int = 8, seed: int = 0) -> list[Prompt]:
    return [Prompt(ids, np.random.default_rng([seed, row]).random(num_tokens)) for row, ids in enumerate(PROMPTS)]


def written(model: Any, rows: list[Prompt], **more: Any) -> list[Written]:
    options: dict[str, Any] = {"temperature": 1.0, "stop_ids": [STOP], "vocab_size": VOCAB, "batch_size": 4}
    return sample(model, rows, **{**options, **more})


def test_an_id_comes_where_the_cumulative_distribution_passes_the_noise():
    prob_BV = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]]).expand(5, -1)
    noise_B = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 1 - 2**-53], dtype=torch.float64)
    assert draw(prob_BV, noise_B).tolist() == [1, 1, 3, 3, 4]


def test_an_id_of_probability_0_never_comes_though_the_probabilities_do_not_quite_sum_to_1():
    random = torch.Generator().manual_seed(0)
    prob_BV = torch.rand(2000, 50, generator=random).softmax(dim=-1)
    prob_BV[:, [0, 7, 49]] = 0
    highest = torch.full((2000,), 1 - 2**-53, dtype=torch.float64)
    for noise_B in (highest, torch.zeros_like(highest)):
        ids_B = draw(prob_BV, noise_B)
        assert prob_BV.gather(1, ids_B[:, None]).min() > 0


def test_ids_come_as_often_as_their_probabilities_say():
    prob_V = torch.tensor([0.5, 0.3, 0.15, 0.05])
    noise_B = torch.from_numpy(np.random.default_rng(0).random(20_000))
    counts = torch.bincount(draw(prob_V.expand(20_000, -1), noise_B), minlength=4)
    error = (20_000 * prob_V * (1 - prob_V)).sqrt()
    assert ((counts - 20_000 * prob_V).abs() < 4 * error).all()


def test_each_token_is_the_one_that_the_whole_model_would_have_drawn(model: Any):
    """The cache, the padding and the positions change nothing: a fresh forward pass draws the same."""
    rows = prompts()
    for prompt, text in zip(rows, written(model, rows, temperature=0.7), strict=True):
        ids = [*prompt.ids, *text.ids]
        logits_TV = model(input_ids=torch.tensor([ids])).logits[0, :, :VOCAB]
        prob_TV = (logits_TV.double() / 0.7).softmax(dim=-1)[len(prompt.ids) - 1 : -1]
        assert draw(prob_TV, torch.from_numpy(prompt.noise[: len(text.ids)])).tolist() == text.ids


def test_first_tokens_come_as_often_as_the_model_says(model: Any):
    count, vocab = 4000, 6
    noise = np.random.default_rng(1).random((count, 1))
    found = written(model, [Prompt(PROMPTS[1], row) for row in noise], vocab_size=vocab, batch_size=1000)
    logits_V = model(input_ids=torch.tensor([PROMPTS[1]])).logits[0, -1, :vocab]
    expected = count * logits_V.softmax(dim=-1)
    counts = torch.bincount(torch.tensor([text.ids[0] for text in found]), minlength=vocab)
    assert ((counts - expected).abs() < 4 * expected.sqrt()).all()


@pytest.mark.parametrize("family", ["mistral", "gemma2", "cohere"])
def test_sliding_windows_caps_and_scales_of_logits_are_those_of_the_model(family: str):
    """The windows are shorter than the prompts and the text, and rows leave the batch at different lengths."""
    import transformers

    own = {
        "mistral": {"sliding_window": 6},
        "gemma2": {"sliding_window": 6, "final_logit_softcapping": 5.0, "head_dim": 8},
        "cohere": {"logit_scale": 0.5},
    }[family]
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"vocab_size": VOCAB, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": STOP}
    name = family.capitalize()
    config = getattr(transformers, f"{name}Config")(**sizes, **ids, num_key_value_heads=2, **own)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        other = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    rows = [Prompt(ids, np.random.default_rng(row).random(4 + 4 * row)) for row, ids in enumerate(PROMPTS)]
    for prompt, text in zip(rows, written(other, rows), strict=True):
        logits_TV = other(input_ids=torch.tensor([[*prompt.ids, *text.ids]])).logits[0, len(prompt.ids) - 1 : -1]
        noise = torch.from_numpy(prompt.noise[: len(text.ids)])
        assert draw(logits_TV.double().softmax(dim=-1), noise).tolist() == text.ids


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_text_does_not_depend_on_how_many_are_written_at_once(model: Any, batch_size: int):
    assert written(model, prompts(), batch_size=batch_size) == written(model, prompts())


def test_the_text_does_not_depend_on_the_order_of_the_prompts(model: Any):
    assert written(model, prompts()[::-1])[::-1] == written(model, prompts())


def test_other_noise_writes_other_text(model: Any):
    assert written(model, prompts(seed=1)) != written(model, prompts())


def test_a_row_ends_with_a_stop_id_or_with_its_noise(model: Any):
    """With half the vocabulary as stop ids nearly every row is done early, and rows leave the batch."""
    stops = range(0, VOCAB, 2)
    rows = [Prompt(PROMPTS[row % 4], np.random.default_rng(row).random(1 + row % 5)) for row in range(24)]
    found = written(model, rows, stop_ids=stops, batch_size=12)
    assert any(text.finished for text in found) and not all(text.finished for text in found)
    for row, text in zip(rows, found, strict=True):
        assert text.finished == (text.ids[-1] in stops)
        assert text.finished or len(text.ids) == len(row.noise)
        assert not any(id in stops for id in text.ids[:-1])
    assert found == written(model, rows, stop_ids=stops, batch_size=1)


def test_only_ids_of_the_vocabulary_are_drawn(model: Any):
    found = written(model, prompts(num_tokens=40), vocab_size=10, stop_ids=[])
    assert {id for text in found for id in text.ids} == set(range(10))


def test_a_low_temperature_takes_the_likeliest(model: Any):
    (text,) = written(model, prompts(num_tokens=1)[:1], temperature=1e-4)
    assert text.ids == [int(model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1, :VOCAB].argmax())]


def test_nothing_is_dropped_out_meanwhile_and_every_module_is_back_in_its_mode(tmp_path: Path):
    model: Any = load_model(tiny_model(tmp_path / "model", layers=1, hidden=32, intermediate=48), device="cpu")
    quiet = written(model, prompts())
    model.train()
    for block in model.get_decoder().layers:
        block.self_attn.attention_dropout = 0.5
    model.get_decoder().norm.eval()
    assert written(model, prompts()) == quiet
    assert model.training and not model.get_decoder().norm.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_whose_predictions_are_not_finite_is_refused(tmp_path: Path):
    model: Any = load_model(tiny_model(tmp_path / "model", layers=1, hidden=32, intermediate=48), device="cpu")
    with torch.no_grad():
        model.get_decoder().norm.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="not a finite number, so nothing can be drawn"):
        written(model, prompts())
