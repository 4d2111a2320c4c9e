"""How the gradients of several losses are added up."""

import pytest
import torch

from demiurgic.train.chunk import TokenLoss, weighted_gradient
from tiny_training import chunk_of

STUDENT_NV = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0]])
LABELS_N = torch.tensor([2, 0])
NOTHING_N = torch.zeros(2)


def test_a_gradient_at_the_labels_alone_is_0_elsewhere():
    chunk = chunk_of(STUDENT_NV, LABELS_N)
    found_NV = weighted_gradient([(TokenLoss(NOTHING_N, (), at_label=-1.0), 0.5)], chunk)
    assert found_NV.tolist() == [[0, 0, -0.5], [-0.5, 0, 0]]


def test_a_tensor_that_two_losses_share_counts_for_both():
    chunk = chunk_of(STUDENT_NV, LABELS_N)
    prob_NV = chunk.student.at(1.0).prob_NV
    losses = [
        (TokenLoss(NOTHING_N, ((prob_NV, 1.0),), at_label=-1.0), 1.0),
        (TokenLoss(NOTHING_N, ((prob_NV, 2.0),)), 3.0),
    ]
    found_NV = weighted_gradient(losses, chunk)
    wanted_NV = 7 * STUDENT_NV.softmax(-1) - torch.nn.functional.one_hot(LABELS_N, 3)
    torch.testing.assert_close(found_NV, wanted_NV)


def test_a_view_of_another_losses_tensor_is_refused():
    chunk = chunk_of(STUDENT_NV, LABELS_N)
    prob_NV = chunk.student.at(1.0).prob_NV
    losses = [(TokenLoss(NOTHING_N, ((prob_NV, 1.0),)), 1.0), (TokenLoss(NOTHING_N, ((prob_NV[:, :], 1.0),)), 1.0)]
    with pytest.raises(AssertionError, match="share memory.*not a view of it"):
        weighted_gradient(losses, chunk)
