import pytest
import torch
from transformers import LlamaForCausalLM

from demiurgic.core.errors import UserError
from demiurgic.models.build import build_model, model_config
from demiurgic.models.memory import inference, kv_cache_bytes, lora_parameters, training
from demiurgic.models.shape import Shape, parameters
from demiurgic.models.shapes import SHAPES, describe
from demiurgic.models.tokenizer import load_tokenizer
from tiny_models import tiny_tokenizer

UNITS = {"m": 1e6, "b": 1e9}


@pytest.mark.parametrize("name", SHAPES)
def test_the_parameter_count_is_that_of_the_built_model(name: str):
    shape = SHAPES[name]
    with torch.device("meta"):
        model = LlamaForCausalLM(model_config(shape, vocab_size=1000))
    assert parameters(shape, vocab=1000).total == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", SHAPES)
def test_a_name_promises_its_size_within_a_tenth(name: str):
    promised = float(name[:-1]) * UNITS[name[-1]]
    assert parameters(SHAPES[name]).total == pytest.approx(promised, rel=0.1)


@pytest.mark.parametrize("name", SHAPES)
def test_every_input_width_is_a_multiple_of_a_k_quant_block(name: str):
    shape = SHAPES[name]
    assert [w % 256 for w in (shape.hidden, shape.heads * shape.head_dim, shape.intermediate)] == [0, 0, 0]


@pytest.mark.parametrize("name", ["350m", "7b", "70b"])
def test_long_contexts_stretch_their_rotary_positions(name: str):
    config = model_config(SHAPES[name], vocab_size=1000)
    assert config.max_position_embeddings == SHAPES[name].context
    assert config.rope_parameters["rope_type"] == ("default" if name == "350m" else "llama3")


def test_parameters_by_part_add_up():
    counts = parameters(SHAPES["7b"])
    assert counts.total == counts.embedding + counts.attention + counts.mlp + counts.norms + counts.head
    assert counts.head == counts.embedding == 32_768 * 4096
    assert parameters(SHAPES["4m"]).head == 0


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="multiple of kv_heads"):
        Shape(hidden=64, layers=1, heads=4, kv_heads=3, head_dim=16, intermediate=64)


def test_full_training_takes_sixteen_bytes_per_parameter_and_its_activations():
    full = training(SHAPES["7b"])[0]
    assert full.total - full.parts["activations"] == 16 * parameters(SHAPES["7b"]).total


def test_lora_parameters_are_those_of_two_thin_matrices_per_matrix():
    shape = Shape(hidden=64, layers=2, heads=4, kv_heads=2, head_dim=16, intermediate=96)
    with torch.device("meta"):
        model = LlamaForCausalLM(model_config(shape, vocab_size=10))
    matrices = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    assert lora_parameters(shape, rank=8) == sum(8 * (m.in_features + m.out_features) for m in matrices)


def test_each_way_of_training_takes_less_than_the_one_before():
    totals = [use.total for use in training(SHAPES["7b"])]
    assert totals == sorted(totals, reverse=True)


def test_four_bits_take_about_a_third_of_the_weights_of_sixteen():
    bf16, four_bit = inference(SHAPES["7b"])
    assert four_bit.parts["weights"] / bf16.parts["weights"] == pytest.approx(4.58 / 16, rel=0.01)


def test_a_key_value_cache_holds_two_vectors_per_layer_and_token():
    # LLaMA 3 70B at 8,192 tokens: 2 × 80 layers × 8 heads × 128 × 8,192 × 2 bytes = 2.7 GB.
    assert kv_cache_bytes(SHAPES["70b"], context=8192) == 2 * 80 * 8 * 128 * 8192 * 2


def test_a_description_holds_its_sums():
    described = describe("7b")
    assert described["parameters"]["total"] == parameters(SHAPES["7b"]).total
    for uses in (described["training"]["memory_bytes"], described["inference"]["memory_bytes"]):
        for parts in uses.values():
            assert parts["total"] == sum(size for part, size in parts.items() if part != "total")


def test_an_unknown_shape_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match='There is no shape "7bb". Did you mean "7b"'):
        describe("7bb")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return load_tokenizer(tiny_tokenizer(tmp_path_factory.mktemp("shapes") / "words"))


TINY = Shape(hidden=64, layers=2, heads=4, kv_heads=2, head_dim=16, intermediate=96, context=128)


def test_equal_seeds_give_equal_weights_whatever_was_drawn_before(tokenizer):
    first = build_model(TINY, tokenizer, seed=5).state_dict()
    torch.rand(3)
    second = build_model(TINY, tokenizer, seed=5).state_dict()
    other = build_model(TINY, tokenizer, seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_building_a_model_leaves_the_random_state_as_it_was(tokenizer):
    before = torch.random.get_rng_state()
    build_model(TINY, tokenizer, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_new_model_knows_its_special_tokens(tokenizer):
    model = build_model(TINY, tokenizer, seed=5, context=64)
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (None, 2, 0)
    assert model.generation_config.eos_token_id == [2, 0]
    assert model.config.max_position_embeddings == 64


def test_a_context_longer_than_the_shape_supports_is_refused(tokenizer):
    with pytest.raises(UserError, match="context of 256 tokens was asked for, and .* made for 128"):
        build_model(TINY, tokenizer, seed=5, context=256)
