"""New models with random weights. Knows shapes and a tokenizer's special tokens, nothing of files."""

from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.models.shape import Shape
from demiurgic.models.tokenizer import dialect_of, stop_ids

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedModel, PreTrainedTokenizerFast

INITIAL_STD = 0.02
"""Standard deviation of the initial weights (GPT-2, LLaMA)."""


def model_config(shape: Shape, *, vocab_size: int, context: int | None = None, **special_ids: Any) -> "LlamaConfig":
    """The Hugging Face config of a shape. `context` may be shorter than the shape's.

    Raises UserError when it is longer than the shape's rotary positions are made for.
    """
    require("transformers", "torch")
    from transformers import LlamaConfig

    if context is not None and context > shape.context:
        raise UserError(
            f"A context of {context} tokens was asked for, and the rotary positions of this shape are made for "
            f"{shape.context}. Ask for at most that, or write the shape out with a longer context and its rope_scaling."
        )
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=context or shape.context,
        rms_norm_eps=1e-5,
        initializer_range=INITIAL_STD,
        tie_word_embeddings=shape.tied,
        rope_parameters=_rope(shape),
        attn_implementation="sdpa",
        **special_ids,
    )


def build_model(
    shape: Shape, tokenizer: "PreTrainedTokenizerFast", *, seed: int, context: int | None = None
) -> "PreTrainedModel":
    """A model of that shape with the tokenizer's vocabulary and random fp32 weights on the CPU, in eval mode.

    The weights depend on shape, vocabulary size and seed alone; torch's own random state is left as it was.
    """
    require("transformers", "torch")
    import torch
    from transformers import GenerationConfig, LlamaForCausalLM

    stops = stop_ids(tokenizer, dialect=dialect_of(tokenizer))
    special = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = model_config(shape, vocab_size=len(tokenizer), context=context, **special)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(**{**special, "eos_token_id": stops})
    model.eval()
    built: PreTrainedModel = model
    return built


def _rope(shape: Shape) -> dict[str, Any]:
    scaling = shape.rope_scaling
    if scaling is None:
        return {"rope_type": "default", "rope_theta": shape.rope_theta}
    return {
        "rope_type": "llama3",
        "rope_theta": shape.rope_theta,
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_context,
    }
