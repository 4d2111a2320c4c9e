"""The text of a step, and what its mean is over."""

import numpy as np

from demiurgic.models.windows import Batch
from demiurgic.train.source import documents_alike

WEIGHTS = [[0, 1, 3, 0, 2, 2, 0, 0], [0, 0, 0, 0, 0.5, 0, 0, 0]]
DOCUMENTS = [[1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 2, 2, 2, 3, 3, 3]]


def batch(weights: list[list[float]], documents: list[list[int]]) -> Batch:
    documents_BT = np.asarray(documents)
    return Batch(np.zeros_like(documents_BT), np.asarray(weights, np.float32), documents_BT, np.arange(len(weights)))


def test_the_weights_of_each_document_sum_to_1_and_keep_their_proportions():
    found = documents_alike(batch(WEIGHTS, DOCUMENTS))
    np.testing.assert_allclose(found.weights_BT, [[0, 0.25, 0.75, 0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0]])
    assert found.weights_BT.dtype == np.float32


def test_the_loss_is_then_a_mean_over_the_documents_that_have_supervised_tokens():
    assert documents_alike(batch(WEIGHTS, DOCUMENTS)).weights_BT.sum() == 3


def test_all_else_of_the_windows_stays():
    given = batch(WEIGHTS, DOCUMENTS)
    found = documents_alike(given)
    assert (found.ids_BT, found.documents_BT, found.windows_B) == (given.ids_BT, given.documents_BT, given.windows_B)


def test_a_document_weighs_the_same_in_whichever_window_it_lies():
    packed = documents_alike(batch([[0, 1, 1, 0, 1, 1, 1, 1]], [[1, 1, 1, 2, 2, 2, 2, 2]])).weights_BT[0]
    padded = documents_alike(batch([[0, 1, 1, 0, 0], [0, 1, 1, 1, 1]], [[1, 1, 1, 0, 0], [1] * 5])).weights_BT
    np.testing.assert_array_equal(packed[:3], padded[0, :3])
    np.testing.assert_array_equal(packed[3:], padded[1])


def test_windows_without_supervised_tokens_keep_weight_0():
    assert not documents_alike(batch([[0.0] * 4], [[1, 1, 2, 0]])).weights_BT.any()
