import re
from collections import Counter

import pytest

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.types import FILE_TYPES, TENSOR_TYPES, Layout, find_file_type, tensor_type

LLAMA_8B = Layout("llama", num_layers=32, tied=False, heads_per_kv=4)
PARTS = {
    "attn_q": (4096, 4096), "attn_k": (1024, 4096), "attn_v": (1024, 4096), "attn_output": (4096, 4096),
    "ffn_gate": (14336, 4096), "ffn_up": (14336, 4096), "ffn_down": (4096, 14336),
}  # fmt: skip


def mix(type: str, layout: Layout = LLAMA_8B) -> dict[str, str]:
    shapes = {"token_embd.weight": (128256, 4096), "output_norm.weight": (4096,)}
    shapes |= {} if layout.tied else {"output.weight": (128256, 4096)}
    for layer in range(layout.num_layers):
        shapes |= {f"blk.{layer}.{part}.weight": shape for part, shape in PARTS.items()}
    file_type = FILE_TYPES[type]
    return {name: tensor_type(name, shape, file_type=file_type, layout=layout).name for name, shape in shapes.items()}


def by_part(mixed: dict[str, str]) -> dict[str, dict[str, int]]:
    """How many layers of each part have which type."""
    found: dict[str, Counter[str]] = {}
    for name, kind in mixed.items():
        found.setdefault(re.sub(r"blk\.\d+\.", "", name).removesuffix(".weight"), Counter())[kind] += 1
    return {part: dict(counts) for part, counts in found.items()}


# As llama.cpp's own quantizer chose for a model of 32 layers whose key heads serve four query heads each.
GOLDEN = {
    "q8_0": {"default": "q8_0", "output": {"q8_0": 1}},
    "q6_k": {"default": "q6_k", "output": {"q6_k": 1}},
    "q5_k_m": {"default": "q5_k", "attn_v": {"q6_k": 16, "q5_k": 16}, "ffn_down": {"q6_k": 16, "q5_k": 16}},
    "q5_k_s": {"default": "q5_k"},
    "q5_1": {"default": "q5_1"},
    "q5_0": {"default": "q5_0"},
    "q4_k_m": {"default": "q4_k", "attn_v": {"q6_k": 16, "q4_k": 16}, "ffn_down": {"q6_k": 16, "q4_k": 16}},
    "q4_k_s": {"default": "q4_k", "attn_v": {"q5_k": 4, "q4_k": 28}, "ffn_down": {"q5_k": 4, "q4_k": 28}},
    "q4_1": {"default": "q4_1"},
    "q4_0": {"default": "q4_0"},
    "iq4_nl": {"default": "iq4_nl", "attn_v": {"q5_k": 32}, "ffn_down": {"q5_k": 4, "iq4_nl": 28}},
    "iq4_xs": {"default": "iq4_xs", "attn_v": {"q5_k": 32}, "ffn_down": {"q5_k": 4, "iq4_xs": 28}},
    "q3_k_l": {"default": "q3_k", "attn_v": {"q5_k": 32}, "ffn_down": {"q5_k": 32}, "attn_output": {"q5_k": 32}},
    "q3_k_m": {
        "default": "q3_k", "attn_v": {"q5_k": 2, "q4_k": 30}, "ffn_down": {"q5_k": 2, "q4_k": 30},
        "attn_output": {"q4_k": 32},
    },
    "q3_k_s": {"default": "q3_k"},
    "q2_k": {"default": "q2_k", "attn_v": {"q4_k": 32}, "ffn_down": {"q3_k": 32}, "attn_output": {"q3_k": 32}},
}  # fmt: skip


@pytest.mark.parametrize("type", GOLDEN)
def test_the_mix_of_a_model_of_32_layers_is_llama_cpps(type: str):
    golden = GOLDEN[type]
    default = golden["default"]
    wanted = {part: {default: 32} for part in PARTS} | {"token_embd": {default: 1}, "output": {"q6_k": 1}}
    wanted |= {"output_norm": {"f32": 1}} | {part: counts for part, counts in golden.items() if part != "default"}
    assert by_part(mix(type)) == wanted


def test_every_quantized_type_has_a_golden_mix():
    assert set(GOLDEN) == set(FILE_TYPES) - {"f32", "f16", "bf16"}


def test_more_bits_go_to_the_first_and_last_eighth_and_every_third_layer_between():
    mixed = mix("q4_k_m")
    finer = [layer for layer in range(32) if mixed[f"blk.{layer}.ffn_down.weight"] == "q6_k"]
    assert finer == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]


def test_a_tied_embedding_is_stored_as_finely_as_an_output_matrix():
    tied = Layout("llama", num_layers=32, tied=True, heads_per_kv=4)
    assert mix("q4_k_m", tied)["token_embd.weight"] == "q6_k"
    assert mix("q4_k_m")["token_embd.weight"] == "q4_k"


def test_the_small_value_matrices_of_a_70b_get_more_bits():
    mixed = mix("q4_k_m", Layout("llama", num_layers=80, tied=False, heads_per_kv=8))
    assert set(by_part(mixed)["attn_v"]) == {"q6_k", "q5_k"}
    assert set(by_part(mixed)["ffn_down"]) == {"q6_k", "q4_k"}


def test_without_shared_key_heads_q2_k_stores_values_in_three_bits():
    assert mix("q2_k", Layout("llama", num_layers=32, tied=False, heads_per_kv=1))["blk.0.attn_v.weight"] == "q3_k"


@pytest.mark.parametrize(
    ("type", "width", "wanted"),
    [
        ("q4_k_m", 896, "q5_0"), ("q5_k_m", 896, "q5_1"), ("q6_k", 896, "q8_0"), ("q3_k_s", 896, "q4_0"),
        ("q2_k", 896, "q4_0"), ("iq4_xs", 896, "iq4_nl"), ("q8_0", 896, "q8_0"), ("q8_0", 900, "f16"),
        ("q4_k_m", 900, "f16"), ("f16", 900, "f16"),
    ],
)  # fmt: skip
def test_rows_that_are_no_whole_blocks_fall_back(type: str, width: int, wanted: str):
    found = tensor_type("blk.4.attn_q.weight", (64, width), file_type=FILE_TYPES[type], layout=LLAMA_8B)
    assert found.name == wanted


def test_norms_and_biases_stay_in_full_precision():
    for name in ("blk.0.attn_norm.weight", "blk.0.attn_q.bias", "blk.0.attn_q_norm.weight", "output_norm.weight"):
        assert tensor_type(name, (256,), file_type=FILE_TYPES["q4_k_m"], layout=LLAMA_8B).name == "f32"


def test_the_tables_agree_with_the_gguf_package():
    import gguf

    for each in TENSOR_TYPES.values():
        number = gguf.GGMLQuantizationType[each.name.upper()]
        assert (each.number, (each.block, each.block_bytes)) == (number, gguf.GGML_QUANT_SIZES[number])
    for file_type in FILE_TYPES.values():
        prefix = "ALL_" if file_type.name == "f32" else "MOSTLY_"
        assert gguf.LlamaFileType[prefix + file_type.name.upper()] == file_type.number


def test_an_unknown_type_is_named_with_its_neighbour():
    with pytest.raises(UserError, match='no GGUF type "q4_km". Did you mean "q4_k_m"'):
        find_file_type("q4_km")
