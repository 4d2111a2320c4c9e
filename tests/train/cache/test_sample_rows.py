"""Words drawn from a teacher: the draws are its distribution's, and what is packed comes back."""

import numpy as np
import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.core.seeds import Seeds
from demiurgic.train.cache.keep import KeepSamples
from demiurgic.train.cache.layout import WORDS, WordBits
from demiurgic.train.cache.sample_rows import draw, sample_rows, samples_of, uniforms

LOGS_NV = torch.randn(5, 40, generator=torch.Generator().manual_seed(1)).mul(2).log_softmax(-1)


def drawn(draws: int, *, seed: int = 2) -> torch.Tensor:
    uniforms_NR = uniforms(Seeds(seed), window=0, length=len(LOGS_NV), draws=draws, temperature=1.0)
    return draw(LOGS_NV, torch.from_numpy(uniforms_NR))


def test_words_are_drawn_as_often_as_they_are_likely():
    draws, probs_NV = 200_000, LOGS_NV.exp()
    shares_NV = torch.stack([torch.bincount(ids, minlength=40) for ids in drawn(draws)]) / draws
    deviations_NV = (shares_NV - probs_NV) / (probs_NV * (1 - probs_NV) / draws).sqrt()
    often_NV = probs_NV * draws > 50  # where counts are nearly normal
    assert often_NV.sum() > 100
    assert deviations_NV[often_NV].abs().max() < 4.5
    assert 0.7 < deviations_NV[often_NV].square().mean() < 1.3


def test_a_word_of_probability_0_is_never_drawn():
    logs_1V = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    ends_1R = torch.tensor([[0.0, 0.5, 1 - 2**-53]], dtype=torch.float64)
    assert draw(logs_1V, ends_1R).tolist() == [[1, 1, 1]]


def test_a_rare_word_of_a_large_vocabulary_is_drawn_at_its_place():
    """1 in 10^9, behind all others: a sum in fp32 would give it nothing."""
    logs_1V = torch.full((1, 100_000), 1.0)
    logs_1V[0, -1] += -np.log(1e4)
    place = torch.tensor([[1 - 0.5e-9]], dtype=torch.float64)
    assert draw(logs_1V.log_softmax(-1), place).item() == 99_999


def test_the_numbers_of_a_position_depend_on_seed_window_and_temperature_alone():
    def numbers(seed: int = 1, window: int = 3, temperature: float = 1.0, length: int = 8) -> list[float]:
        found = uniforms(Seeds(seed), window=window, length=length, draws=5, temperature=temperature)
        return found[2].tolist()

    assert numbers() == numbers(length=4)
    assert len({tuple(n) for n in (numbers(), numbers(seed=2), numbers(window=4), numbers(temperature=2.0))}) == 4


@pytest.mark.parametrize(("draws", "vocab_size", "num_bytes"), [(50, 40, 3), (50, 1 << 18, 3), (300, 1 << 18, 4)])
def test_what_is_packed_comes_back(draws: int, vocab_size: int, num_bytes: int):
    keep = KeepSamples(draws=draws, temperatures=(1.0, 2.0))
    bits = WordBits.of(vocab_size=vocab_size, draws=draws)
    ids = [drawn(draws, seed=seed) for seed in (1, 2)]
    ids[1][0] = vocab_size - 1  # one word, drawn every time
    entropies = [torch.rand(5), torch.rand(5)]
    rows = sample_rows(ids, entropies, bits=bits)
    assert rows[WORDS].shape[1] == num_bytes
    said = samples_of([rows, rows], keep, vocab_size=vocab_size)
    for temperature, ids_NR, entropy_N in zip((1.0, 2.0), ids, entropies, strict=True):
        found = said.draws[temperature]
        assert torch.equal(found.entropy_N, entropy_N.repeat(2))
        assert found.shares_NK.sum(dim=1).tolist() == pytest.approx([1.0] * 10)
        for row, ids_R in zip(range(10), ids_NR.repeat(2, 1), strict=True):
            words, counts = ids_R.unique(return_counts=True)
            there = found.shares_NK[row] > 0
            assert found.ids_NK[row][there].tolist() == words.tolist()
            assert found.shares_NK[row][there].tolist() == pytest.approx((counts / draws).tolist())


def test_more_bits_than_fit_are_refused_with_the_draws_that_do():
    with pytest.raises(UserError, match="24 \\+ 9 bits .* Set draws to 256 or less"):
        WordBits.of(vocab_size=1 << 24, draws=257)
