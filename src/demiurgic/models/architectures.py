"""Which models this package works on: a table, and the refusal of every folder that holds something else.

`check_folder` reads configs and the headers of the weights, never the weights: it costs the same for 15 GB.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.models.lfs import refuse_pointer
from demiurgic.models.shards import StoredTensor, stored_precision, stored_tensors
from demiurgic.models.tokenizer import dialect_of, load_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

CONFIG = "config.json"
WANTED = "Wanted a Hugging Face folder: config.json, weights in safetensors, tokenizer.json."
GENERATION_CONFIG = "generation_config.json"
TOKENIZER = "tokenizer.json"
PICKLED = (".bin", ".pth", ".pt", ".ckpt")
CONFIG_FAULTS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What transformers raises while it computes with numbers that make no model."""
SIZES = ("vocab_size", "max_position_embeddings")
"""What transformers would fill in where a config does not say it."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder of RMS norms, rotary positions, grouped-query attention and SwiGLU, and what is its own in it."""

    name: str
    """The class that `architectures` of a config names."""
    model_type: str
    qkv_bias: bool
    """Whether the query, key and value projections add a bias."""
    qk_norm: bool
    """Whether queries and keys are normalized in each head."""
    sliding_window: bool
    """Whether a config may limit attention to the last tokens."""


SUPPORTED: Mapping[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture("LlamaForCausalLM", "llama", qkv_bias=False, qk_norm=False, sliding_window=False),
        Architecture("Qwen2ForCausalLM", "qwen2", qkv_bias=True, qk_norm=False, sliding_window=True),
        Architecture("Qwen3ForCausalLM", "qwen3", qkv_bias=False, qk_norm=True, sliding_window=True),
        Architecture("MistralForCausalLM", "mistral", qkv_bias=False, qk_norm=False, sliding_window=True),
    )
}


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a model folder holds."""

    architecture: Architecture
    precision: str
    """`fp32`, `bf16` or `fp16`: what the linear layers are stored in."""
    num_parameters: int
    """A tied output embedding is counted once."""
    vocab_size: int
    """Rows of the embedding. May be more than the tokenizer's ids: Qwen pads it."""
    tokenizer_size: int
    """The tokenizer's ids, added ones included."""
    context: int
    sliding_window: int | None
    """To how many of the last tokens attention is limited, where it is."""
    dialect: str
    """The name of the tokenizer's dialect."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a model folder says beside its weights."""

    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    """Of each tensor that the config promises."""
    optional: frozenset[str]
    """Tensors that may be absent, being tied to others."""
    tokenizer_size: int
    dialect: str


def architecture_of(config: Mapping[str, Any], *, folder: Path) -> Architecture:
    """The architecture that a `config.json` names; raises UserError, with the list, when it is not supported."""
    names = config.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{folder / CONFIG} has the architectures {json.dumps(names)}; wanted a list of one name, as in "
            f'["{next(iter(SUPPORTED))}"]. Mend it in the folder it comes from, and fetch again.'
        )
    known = SUPPORTED.get(names[0]) if len(names) == 1 else None
    if known and config.get("model_type") == known.model_type:
        return known
    if known:
        raise UserError(
            f"{folder / CONFIG} names the architecture {known.name} and the model_type {config.get('model_type')}; "
            f"wanted {known.model_type}. Mend the one that is wrong in the folder it comes from, and fetch again."
        )
    found = ", ".join(str(name) for name in names) or f"nothing (model_type {config.get('model_type')})"
    raise UserError(
        f"{folder / CONFIG} names the architecture {found}; supported are {', '.join(SUPPORTED)}. "
        "Choose a model of one of these families, in its text-only form."
    )


def check_folder(folder: Path) -> FolderFacts:
    """What a model folder holds.

    Raises UserError when anything in it would not work later: no config, weights or tokenizer, code of its own, an
    unsupported architecture, quantized or pickled weights, weights that do not fit the config, a tokenizer with more
    ids than embeddings, or one with no usable dialect.
    """
    refuse_other_than_model(file_names(folder), where=str(folder))
    said = check_description(folder)
    config = said.config
    tensors = stored_tensors(folder)
    linears = _refuse_misfit(tensors, said, folder=folder)
    tied = bool(config.get("tie_word_embeddings"))
    return FolderFacts(
        architecture=architecture_of(config, folder=folder),
        precision=stored_precision(folder, modules=linears),
        num_parameters=sum(math.prod(t.shape) for t in tensors.values() if not (tied and t.name == "lm_head.weight")),
        vocab_size=config["vocab_size"],
        tokenizer_size=said.tokenizer_size,
        context=config["max_position_embeddings"],
        sliding_window=sliding_window(config),
        dialect=said.dialect,
    )


def check_description(folder: Path) -> Description:
    """Everything but the weights, which need not be there yet: configs, tokenizer, chat template.

    Raises UserError for all that `check_folder` refuses in them.
    """
    config = check_config(folder)
    _refuse_foreign_ids(folder, vocab_size=config["vocab_size"])
    model = empty_model(folder)
    tokenizer = _check_tokenizer(folder, vocab_size=config["vocab_size"])
    return Description(
        config,
        shapes={name: tuple(tensor.shape) for name, tensor in model.state_dict().items()},
        optional=frozenset({"lm_head.weight"} if model.config.tie_word_embeddings else ()),
        tokenizer_size=_num_ids(tokenizer),
        dialect=dialect_of(tokenizer).name,
    )


def check_config(folder: Path) -> dict[str, Any]:
    """A model folder's `config.json`, of which nothing else need be there yet.

    Raises UserError when it is missing or damaged, brings code along, names no supported architecture, describes
    quantized weights, or does not say how large vocabulary and context are.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} holds no model: {CONFIG} is missing. {WANTED}")
    config = _read_json(folder / CONFIG)
    for name in (CONFIG, "tokenizer_config.json"):
        if (folder / name).is_file() and _read_json(folder / name).get("auto_map"):
            raise UserError(
                f"{folder / name} has an auto_map: the model runs code of its own, which is never executed here. "
                f"Choose a model of a supported architecture: {', '.join(SUPPORTED)}."
            )
    architecture_of(config, folder=folder)
    refuse_quantized(folder)
    for name in SIZES:
        if type(config.get(name)) is not int or config[name] < 1:
            raise UserError(
                f"{folder / CONFIG} says {name} {json.dumps(config.get(name))}; wanted a whole number above 0. Set it "
                "in the folder it comes from, and fetch again."
            )
    return config


def refuse_quantized(folder: Path) -> None:
    """Raises UserError for a model folder whose weights are stored quantized."""
    config = _read_json(folder / CONFIG)
    found = config.get("quantization_config") or config.get("compression_config")
    if found:
        method = found.get("quant_method", "an unnamed method") if isinstance(found, Mapping) else found
        raise UserError(
            f"The weights of {folder} are quantized already ({method}), and what was rounded away cannot be trained or "
            "merged into. Use the model they were made from; quantize at the end, with the stage export."
        )


def refuse_other_than_model(names: Collection[str], *, where: str) -> None:
    """Raises UserError unless these are the file names of a model with weights in safetensors; `where` they lie."""
    if CONFIG in names and any(name.endswith(".safetensors") for name in names):
        return
    if CONFIG not in names and "adapter_config.json" in names:
        raise UserError(f"{where} is an adapter, not a model. Set kind: adapter, and name the model it is for as base.")
    if gguf := min((name for name in names if name.endswith(".gguf")), default=None):
        raise UserError(
            f"{where} holds a GGUF ({gguf}), which runs and cannot be trained or converted back. {WANTED} Name the "
            "model that it was made from."
        )
    if CONFIG not in names:
        raise UserError(f"{where} holds no model: {CONFIG} is missing. {WANTED}")
    if pickled := min((name for name in names if name.endswith(PICKLED)), default=None):
        raise UserError(
            f"{where} holds its weights as {pickled}, a pickle, which runs whatever code it holds when it is read. "
            "Use a revision or a copy of the model in safetensors."
        )
    raise UserError(f"{where} holds a config and no weights. {WANTED}")


def refuse_without_tokenizer(names: Collection[str], *, where: str) -> None:
    """Raises UserError unless these are the file names of a folder with a tokenizer; `where` they lie."""
    if TOKENIZER in names:
        return
    also = " It has a SentencePiece tokenizer.model instead." if "tokenizer.model" in names else ""
    raise UserError(
        f"{where} holds no {TOKENIZER}.{also} Bring the model in with the tokenizer it was trained with: save that one "
        "beside a copy of the model with transformers (AutoTokenizer.from_pretrained(…).save_pretrained(folder)), and "
        "fetch that folder."
    )


def file_names(folder: Path) -> list[str]:
    """The files at the root of a folder. Raises UserError when there is no such folder."""
    if folder.suffix == ".gguf" and folder.is_file():
        refuse_other_than_model([folder.name], where=str(folder))
    if not folder.is_dir():
        raise UserError(f"{folder} is {'a file' if folder.exists() else 'not there'}. {WANTED}")
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def sliding_window(config: Mapping[str, Any]) -> int | None:
    """How many of the last tokens attention is limited to, or None; Qwen writes a window that it does not use."""
    window = config.get("sliding_window")
    unused = not config.get("use_sliding_window", config.get("model_type") not in ("qwen2", "qwen3"))
    return None if window is None or unused else int(window)


def config_of(folder: Path) -> "PretrainedConfig":
    """A model folder's config as transformers reads it. Raises UserError where it cannot."""
    require("transformers")
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, *CONFIG_FAULTS, StrictDataclassError) as error:
        raise _unbuildable(folder, error) from None


def empty_model(folder: Path) -> "PreTrainedModel":
    """The model that a folder's config describes, on torch's meta device: all its layers and none of its weights.

    Raises UserError where it cannot be built.
    """
    require("transformers", "torch")
    import torch
    from transformers import AutoModelForCausalLM

    config = config_of(folder)
    try:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    except (*CONFIG_FAULTS, RuntimeError) as error:
        raise _unbuildable(folder, error) from None
    return model


def _unbuildable(folder: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:300]
    return UserError(f"{folder / CONFIG} describes no model that can be built: {reason}")


def _read_json(path: Path) -> dict[str, Any]:
    refuse_pointer(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}). Fetch the folder again.") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object. Fetch the folder again.")
    return data


def _refuse_foreign_ids(folder: Path, *, vocab_size: int) -> None:
    """Raises UserError for a damaged generation config, and for special ids that are no tokens of the model."""
    for path in (folder / GENERATION_CONFIG, folder / CONFIG):
        said = _read_json(path) if path.is_file() else {}
        for role in ("bos_token_id", "eos_token_id", "pad_token_id"):
            given = said.get(role)
            lowest = -1 if role == "pad_token_id" else 0  # how older models say that there is none
            for token_id in given if isinstance(given, list) else [] if given is None else [given]:
                if type(token_id) is not int or not lowest <= token_id < vocab_size:
                    raise UserError(
                        f"{path} names {json.dumps(token_id)} as {role}, and the model has the ids 0 to "
                        f"{vocab_size - 1}. Mend it in the folder it comes from, and fetch again."
                    )


def _refuse_misfit(tensors: Mapping[str, StoredTensor], said: Description, *, folder: Path) -> list[str]:
    """Hold the tensors against the config; returns the names of the linear layers in the blocks."""
    expected = said.shapes
    required = expected.keys() - said.optional
    misfit = {
        "missing": sorted(required - tensors.keys()),
        "not in the model": sorted(tensors.keys() - expected.keys()),
        "of another shape": sorted(n for n in expected.keys() & tensors.keys() if expected[n] != tensors[n].shape),
    }
    for what, names in misfit.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UserError(
                f"The weights of {folder} do not fit its config.json ({what}: {', '.join(names[:3])}{more}). "
                "The folder is damaged or incomplete: bring it in again."
            )
    blocks = (name for name, shape in expected.items() if name.startswith("model.layers.") and len(shape) == 2)
    return [name.removesuffix(".weight") for name in blocks]


def _check_tokenizer(folder: Path, *, vocab_size: int) -> "PreTrainedTokenizerFast":
    refuse_without_tokenizer(file_names(folder), where=str(folder))
    tokenizer = load_tokenizer(folder)
    if _num_ids(tokenizer) > vocab_size:
        raise UserError(
            f"The tokenizer of {folder} has {_num_ids(tokenizer)} ids and the model embeddings for {vocab_size} "
            "tokens. The tokenizer is not this model's, or was extended and the embeddings were not."
        )
    return tokenizer


def _num_ids(tokenizer: "PreTrainedTokenizerFast") -> int:
    return max(tokenizer.get_vocab().values(), default=-1) + 1
