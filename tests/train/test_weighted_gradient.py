"""How the gradients of several losses are added up."""

import torch

from demiurgic.train.token_loss import Sparse, TokenLoss, weighted_gradient

FIRST_NV = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0]])
SECOND_NV = torch.tensor([[1.0, 1.0, 0.0], [0.0, 4.0, 2.0]])
NOTHING_N = torch.zeros(2)
ROWS_N1 = torch.tensor([[2.0], [-1.0]])


def added(*losses: tuple[TokenLoss, float]) -> torch.Tensor:
    return weighted_gradient(losses, out_NV=torch.full((2, 3), torch.nan))


def test_a_sparse_gradient_is_0_elsewhere():
    labels = Sparse(torch.tensor([[2], [0]]), torch.tensor([[-1.0], [-1.0]]))
    assert added((TokenLoss(NOTHING_N, sparse=(labels,)), 0.5)).tolist() == [[0, 0, -0.5], [-0.5, 0, 0]]


def test_a_word_that_a_sparse_gradient_names_twice_counts_twice():
    twice = Sparse(torch.tensor([[1, 1], [0, 2]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), factor=2.0)
    assert added((TokenLoss(NOTHING_N, sparse=(twice,)), 1.0)).tolist() == [[0, 6, 0], [6, 0, 8]]


def test_a_tensor_that_two_losses_share_counts_for_both_and_stays_as_it_is():
    before_NV = FIRST_NV.clone()
    found_NV = added(
        (TokenLoss(NOTHING_N, ((FIRST_NV, 1.0),)), 1.0),
        (TokenLoss(NOTHING_N, ((FIRST_NV, 2.0), (SECOND_NV, -1.0))), 3.0),
    )
    torch.testing.assert_close(found_NV, 7 * FIRST_NV - 3 * SECOND_NV)
    assert torch.equal(FIRST_NV, before_NV)


def test_a_factor_may_be_another_for_each_token():
    loss = TokenLoss(NOTHING_N, ((FIRST_NV, ROWS_N1), (SECOND_NV, 1.0), (SECOND_NV, ROWS_N1)))
    torch.testing.assert_close(added((loss, 0.5)), 0.5 * (ROWS_N1 * FIRST_NV + (1 + ROWS_N1) * SECOND_NV))


def test_no_loss_gives_the_gradient_0():
    assert added().tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_temperature_multiplies_the_value_by_its_square_and_each_gradient_by_itself():
    loss = TokenLoss(torch.ones(2), ((FIRST_NV, 1.0),), (Sparse(torch.zeros(2, 1).long(), torch.ones(2, 1)),))
    hot = loss.at_temperature(3.0)
    assert hot.value_N.tolist() == [9, 9]
    torch.testing.assert_close(added((hot, 1.0)), 3 * added((loss, 1.0)))
