"""The likeliest words and the rest: exact where they are worked out, the same where they are read."""

import math

import numpy as np
import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.train.cache.keep import KeepTopK
from demiurgic.train.cache.top_k_rows import fitted, from_three_bytes, likeliest, three_bytes, top_k_of, top_k_rows
from demiurgic.train.signals import TopK

LOGS_NV = torch.randn(4, 50, generator=torch.Generator().manual_seed(2)).mul(3).log_softmax(-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_rest_is_that_of_all_other_words_at_each_temperature(temperature: float):
    found = likeliest(LOGS_NV, KeepTopK(k=7, temperatures=(temperature,)))
    inside_NV = torch.zeros(4, 50, dtype=torch.bool).scatter(1, found.ids_NK, True)
    powers_NV = (LOGS_NV.double() / temperature).exp()
    wanted_N = (powers_NV * ~inside_NV).sum(-1).log()
    torch.testing.assert_close(found.log_tail_N[temperature].double(), wanted_N, rtol=0, atol=1e-5)
    assert torch.equal(found.log_NK, LOGS_NV.sort(descending=True).values[:, :7])


def test_nothing_is_left_beside_the_whole_vocabulary():
    found = likeliest(LOGS_NV, KeepTopK(k=50))
    assert found.log_tail_N[1.0].tolist() == [-math.inf] * 4


def test_ids_of_three_bytes_come_back():
    ids = np.array([[0, 255, 256], [65_535, 65_536, (1 << 24) - 1]])
    assert np.array_equal(from_three_bytes(three_bytes(ids)), ids)


def test_what_is_written_is_read():
    keep = KeepTopK(k=3, temperatures=(1.0, 2.0))
    said = likeliest(LOGS_NV, keep)
    rows = top_k_rows(said, keep)
    found = top_k_of([rows, rows], keep)
    assert torch.equal(found.ids_NK, said.ids_NK.repeat(2, 1))
    assert torch.equal(found.log_NK, said.log_NK.repeat(2, 1))
    assert all(torch.equal(found.log_tail_N[T], said.log_tail_N[T].repeat(2)) for T in (1.0, 2.0))


def test_words_that_are_cut_off_go_to_the_rest():
    many = likeliest(LOGS_NV, KeepTopK(k=20))
    shuffled_NK = torch.randperm(20).expand(4, 20)
    told = TopK(many.ids_NK.gather(1, shuffled_NK), many.log_NK.gather(1, shuffled_NK), many.log_tail_N)
    found, wanted = fitted(told, KeepTopK(k=5)), likeliest(LOGS_NV, KeepTopK(k=5))
    assert torch.equal(found.ids_NK, wanted.ids_NK)
    torch.testing.assert_close(found.log_tail_N[1.0], wanted.log_tail_N[1.0])


def test_fewer_words_than_are_to_be_kept_are_refused():
    with pytest.raises(UserError, match="keep.k is 6, and the teacher gives 5 words"):
        fitted(likeliest(LOGS_NV, KeepTopK(k=5)), KeepTopK(k=6))
