import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.precision import autocast

CPU = torch.device("cpu")


def test_bf16_computes_matrix_products_in_bf16_and_keeps_weights_in_fp32():
    layer = torch.nn.Linear(4, 4)
    with autocast(CPU, "bf16"):
        assert layer(torch.ones(1, 4)).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32


def test_fp32_changes_nothing():
    with autocast(CPU, "fp32"):
        assert torch.nn.Linear(4, 4)(torch.ones(1, 4)).dtype == torch.float32


def test_bf16_is_refused_where_the_device_lacks_it():
    with pytest.raises(UserError, match="the device meta does not compute in it. Set precision: fp32"):
        autocast(torch.device("meta"), "bf16")
