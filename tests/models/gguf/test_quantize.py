import gguf
import numpy as np
import pytest

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.quantize import encode_rows
from demiurgic.models.gguf.types import TENSOR_TYPES

VALUES_RW = np.random.default_rng(0).normal(size=(24, 512)).astype(np.float32)
# Root mean square error of a normal distribution's values, in standard deviations: half a step of each type, roughly.
WORST_ERROR = {"q8_0": 0.009, "q6_k": 0.025, "q5_k": 0.05, "q5_1": 0.05, "q5_0": 0.06, "q4_k": 0.09, "q4_1": 0.1,
               "q4_0": 0.12, "iq4_nl": 0.1, "iq4_xs": 0.1, "q3_k": 0.19, "q2_k": 0.35}  # fmt: skip


def decoded(encoded: np.ndarray, name: str) -> np.ndarray:
    return gguf.quants.dequantize(encoded, gguf.GGMLQuantizationType[name.upper()])


@pytest.mark.parametrize("name", ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"])
def test_bytes_are_those_of_the_formats_reference(name: str):
    reference = gguf.quants.quantize(VALUES_RW, gguf.GGMLQuantizationType[name.upper()])
    assert encode_rows(VALUES_RW, TENSOR_TYPES[name]).tobytes() == reference.tobytes()


@pytest.mark.parametrize("name", WORST_ERROR)
def test_values_come_back_within_the_types_step(name: str):
    error = float(np.sqrt(np.mean((decoded(encode_rows(VALUES_RW, TENSOR_TYPES[name]), name) - VALUES_RW) ** 2)))
    assert WORST_ERROR[name] / 2.5 < error < WORST_ERROR[name]


@pytest.mark.parametrize("name", [name for name, kind in TENSOR_TYPES.items() if kind.quantized])
def test_rows_are_encoded_each_by_itself(name: str):
    kind = TENSOR_TYPES[name]
    whole = encode_rows(VALUES_RW, kind)
    parts = [encode_rows(VALUES_RW[start:stop], kind) for start, stop in ((0, 1), (1, 10), (10, 24))]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_zeros_stay_zeros_in_every_type():
    for name, kind in TENSOR_TYPES.items():
        if kind.quantized:
            assert not decoded(encode_rows(np.zeros((2, 256), np.float32), kind), name).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["f32", "f16", "q4_k"])
def test_numbers_that_are_not_finite_are_refused(name: str, value: float):
    values_RW = VALUES_RW.copy()
    values_RW[3, 5] = value
    with pytest.raises(UserError, match="not finite"):
        encode_rows(values_RW, TENSOR_TYPES[name])


@pytest.mark.parametrize(("name", "way_out"), [("f16", "Use f32 .*bf16 for a whole model"), ("q4_0", "Use bf16")])
def test_weights_beyond_a_half_are_refused_with_the_type_that_holds_them(name: str, way_out: str):
    values_RW = VALUES_RW.copy()
    values_RW[3, 5] = -70_000.0 if name == "f16" else -3e6
    with pytest.raises(UserError, match=way_out):
        encode_rows(values_RW, TENSOR_TYPES[name])
    assert decoded(encode_rows(values_RW, TENSOR_TYPES["bf16"]), "bf16")[3, 5] == pytest.approx(
        values_RW[3, 5], rel=4e-3
    )
