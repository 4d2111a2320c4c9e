"""The bench of the loss: its contenders compute the same thing, and its figures are of what they say."""

import pytest
import torch

from bench_modules import bench

CPU = torch.device("cpu")


@pytest.mark.parametrize("loss", ["forward_kl", "reverse_kl", "jsd"])
def test_both_contenders_find_the_same_loss_and_gradients(loss: str):
    kd_loss = bench("kd_loss")
    inputs = kd_loss.inputs_of((16, 300, 40), CPU)
    found = []
    for name in (kd_loss.OURS, kd_loss.PLAIN):
        total = kd_loss.CONTENDERS[name](inputs, loss)
        kd_loss.differentiate(inputs, total)
        found.append((total().item(), inputs.hidden_ND.grad, inputs.weight_VD.grad))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1:], found[1][1:], rtol=1e-4, atol=1e-7)


def test_memory_is_the_peak_beyond_inputs_and_gradients():
    kd_loss = bench("kd_loss")
    inputs = kd_loss.inputs_of((8, 20_000, 1_000), CPU)
    logits = 4 * 20_000 * 1_000
    # student's and teacher's logits, the log-probabilities of both, the gradient
    assert 3 * logits < kd_loss.peak_bytes(inputs, kd_loss.PLAIN, "forward_kl") < 8 * logits
    assert kd_loss.peak_bytes(inputs, kd_loss.OURS, "forward_kl") < logits
