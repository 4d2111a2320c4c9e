"""What a model folder's config says, in the terms of GGUF: dimensions, rotary positions, and what llama.cpp cannot run.

Read through transformers, so that defaults and older spellings mean what they mean when the model itself is loaded.
Knows nothing of weights or tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demiurgic.core.errors import UserError
from demiurgic.models.architectures import check_config, config_of

ARCHITECTURES: Mapping[str, str] = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
"""transformers' class to llama.cpp's architecture."""


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary positions: `base` is theta, `kind` how they are stretched beyond the length they were trained on."""

    kind: str
    base: float
    factor: float = 1.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 1.0
    original_context: int = 0


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything of a config that its GGUF must say."""

    name: str
    vocab_size: int
    context: int
    hidden: int
    intermediate: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    epsilon: float
    tied: bool
    rope: Rope
    biased: frozenset[str]
    """Which matrices have a bias: `qkv`, `o`, `mlp`."""

    @property
    def head_norms(self) -> bool:
        """Whether queries and keys are normalized per head."""
        return self.name == "qwen3"

    @property
    def interleaved(self) -> bool:
        """Whether llama.cpp turns neighbouring pairs, where transformers turns the two halves of a head."""
        return self.name == "llama"


def read_architecture(folder: Path) -> Architecture:
    """The architecture of a model folder.

    Raises UserError for one that is not supported, for quantized weights, and for settings that a GGUF cannot hold.
    """
    check_config(folder)
    config: Any = config_of(folder)
    name = ARCHITECTURES[config.architectures[0]]
    _refuse_settings(config, folder)
    heads = int(config.num_attention_heads)
    return Architecture(
        name=name,
        vocab_size=int(config.vocab_size),
        context=int(config.max_position_embeddings),
        hidden=int(config.hidden_size),
        intermediate=int(config.intermediate_size),
        num_layers=int(config.num_hidden_layers),
        num_heads=heads,
        num_kv_heads=int(config.num_key_value_heads or heads),
        head_dim=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        epsilon=float(config.rms_norm_eps),
        tied=bool(config.tie_word_embeddings),
        rope=_rope(config, name, folder),
        biased=_biased(config, name, folder),
    )


def header_fields(architecture: Architecture) -> dict[str, int | float | str]:
    """The metadata that llama.cpp builds the model from, by names that follow the architecture's."""
    rope = architecture.rope
    fields: dict[str, int | float | str] = {
        "context_length": architecture.context,
        "embedding_length": architecture.hidden,
        "block_count": architecture.num_layers,
        "feed_forward_length": architecture.intermediate,
        "attention.head_count": architecture.num_heads,
        "attention.head_count_kv": architecture.num_kv_heads,
        "attention.key_length": architecture.head_dim,
        "attention.value_length": architecture.head_dim,
        "attention.layer_norm_rms_epsilon": architecture.epsilon,
        "vocab_size": architecture.vocab_size,
        "rope.dimension_count": architecture.head_dim,
        "rope.freq_base": rope.base,
    }
    if rope.kind in ("linear", "yarn"):
        fields |= {"rope.scaling.type": rope.kind, "rope.scaling.factor": rope.factor}
    if rope.kind == "yarn":
        fields["rope.scaling.original_context_length"] = rope.original_context
    return fields


def _refuse_settings(config: Any, folder: Path) -> None:
    if config.hidden_act != "silu":
        raise UserError(
            f"{folder} computes with {config.hidden_act}; llama.cpp runs this architecture with silu only. Convert it "
            "as another architecture with llama.cpp's own converter."
        )
    sliding = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    # Mistral's config has a window for all layers and no list of them.
    sliding = sliding or (config.model_type == "mistral" and config.sliding_window is not None)
    if sliding and config.sliding_window < config.max_position_embeddings:
        raise UserError(
            f"{folder} attends to the last {config.sliding_window} tokens of {config.max_position_embeddings} "
            "(sliding_window), which a GGUF of this architecture cannot say. Set max_position_embeddings "
            f"to {config.sliding_window}, up to where the two are equal, in config.json of the folder it was fetched "
            "from, and fetch it again."
        )


def _biased(config: Any, name: str, folder: Path) -> frozenset[str]:
    if name == "qwen2":
        return frozenset({"qkv"})
    attention, mlp = bool(getattr(config, "attention_bias", False)), bool(getattr(config, "mlp_bias", False))
    if name == "qwen3" and attention:
        raise UserError(f"{folder} has attention_bias, which llama.cpp's {name} has no place for.")
    return frozenset((["qkv", "o"] if attention else []) + (["mlp"] if mlp else []))


def _rope(config: Any, name: str, folder: Path) -> Rope:
    given: dict[str, Any] = dict(config.rope_parameters)
    kind = given.get("rope_type", "default")
    base = float(given["rope_theta"])
    if float(given.get("partial_rotary_factor", 1.0)) != 1.0:
        raise UserError(f"{folder} turns only a part of each head (partial_rotary_factor), which is not supported.")
    if kind == "default":
        return Rope("default", base)
    try:
        if kind == "linear":
            return Rope("linear", base, float(given["factor"]))
        if kind == "yarn":
            return _yarn(given, base, folder)
        if kind == "llama3" and name == "llama":
            return _llama3(given, base)
    except KeyError as error:
        raise UserError(f"{folder} stretches its rotary positions by {kind} and does not say {error}.") from None
    raise UserError(
        f"{folder} stretches its rotary positions by {kind}, which a GGUF of the architecture {name} cannot say. "
        "Supported: default, linear, yarn, and llama3 for LLaMA and Mistral."
    )


def _llama3(given: Mapping[str, Any], base: float) -> Rope:
    return Rope(
        "llama3",
        base,
        float(given["factor"]),
        float(given["low_freq_factor"]),
        float(given["high_freq_factor"]),
        int(given["original_max_position_embeddings"]),
    )


YARN_DEFAULTS = {"attention_factor": None, "beta_fast": 32, "beta_slow": 1, "mscale": None, "mscale_all_dim": None}


def _yarn(given: Mapping[str, Any], base: float, folder: Path) -> Rope:
    """YaRN (arXiv 2309.00071) with the paper's constants, which transformers and llama.cpp share."""
    odd = [key for key, usual in YARN_DEFAULTS.items() if given.get(key, usual) not in (usual, None)]
    odd += ["truncate"] if given.get("truncate") is False else []
    if odd:
        raise UserError(
            f"{folder} sets {', '.join(odd)} of yarn, which no GGUF of it was proven equal with. "
            "Remove the setting, or convert with llama.cpp's own converter."
        )
    return Rope("yarn", base, float(given["factor"]), original_context=int(given["original_max_position_embeddings"]))
