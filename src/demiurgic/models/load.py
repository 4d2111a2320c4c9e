"""Model folders in and out. A model part is a Hugging Face folder: weights, config, tokenizer, generation config."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.optional import require
from demiurgic.models.tokenizer import TOKENIZER_FILES

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

DTYPES = ("float32", "bfloat16", "float16")


def resolve_device(device: str) -> "torch.device":
    """`auto` is the first CUDA device where there is one, else the CPU; other names are as in torch.

    Raises UserError for a device this machine does not have.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise UserError(unknown("device", device, ("auto", "cpu", "cuda"))) from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise UserError("The device cuda was asked for and torch finds none here. Use device auto or cpu.")
    return found


def load_model(folder: Path, *, device: str = "auto", dtype: str = "float32") -> "PreTrainedModel":
    """The model of a Hugging Face folder, in eval mode, on a device. Weights are cast to `dtype`.

    Raises UserError when the folder holds no model, or not exactly the weights that its config promises.
    """
    if dtype not in DTYPES:
        raise UserError(unknown("dtype", dtype, DTYPES))
    refuse_no_config(folder)
    require("transformers", "torch", "safetensors")
    place = resolve_device(device)
    model = read_weights(folder, dtype=dtype)
    model.to(place)
    model.eval()
    return model


def read_weights(folder: Path, *, dtype: str, **options: Any) -> "PreTrainedModel":
    """What transformers makes of a folder, `options` being its own. Raises UserError as `load_model` does."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    _quiet()
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=getattr(torch, dtype),
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            # Reported below with what else does not fit, where transformers would raise a RuntimeError.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be read as a model: {str(error).splitlines()[0]}") from None
    refuse_misfit(folder, loaded)
    found: PreTrainedModel = model
    return found


def save_model(model: "PreTrainedModel", tokenizer_folder: Path, out: Path) -> None:
    """Write a model folder that any program of the ecosystem loads; the tokenizer's files are copied as they are.

    Raises OSError when the disk is full.
    """
    require("transformers", "safetensors")
    from safetensors import SafetensorError

    out.mkdir(parents=True, exist_ok=True)
    _quiet()
    try:
        model.save_pretrained(str(out), max_shard_size="5GB")
    except SafetensorError as error:
        # safetensors reports a failed write by an exception of its own, which is no OSError.
        raise OSError(str(error)) from error
    for weights in out.glob("*.safetensors"):
        # safetensors writes files that their owner alone may read, whatever the umask says.
        weights.chmod((out / "config.json").stat().st_mode)
    for name in TOKENIZER_FILES:
        if (tokenizer_folder / name).is_file():
            shutil.copyfile(tokenizer_folder / name, out / name)


def context_length(model: "PreTrainedModel") -> int:
    """How many tokens the model can attend to."""
    return int(model.config.max_position_embeddings)


def refuse_no_config(folder: Path) -> None:
    """Raises UserError for a folder that is no model's."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no model: config.json is missing. Point to a Hugging Face model folder.")


def refuse_misfit(folder: Path, loaded: Any) -> None:
    """Raises UserError when weights are missing, left over or of another shape; `loaded` is transformers' report."""
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in loaded.get(what, ()))
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            misfit = f"{what.replace('_', ' ')}: {', '.join(names[:3])}{more}"
            raise UserError(
                f"{folder}: the weights do not fit config.json ({misfit}). "
                "The folder is damaged or incomplete: make it again."
            )


def _quiet() -> None:
    """The ecosystem's own bars and hints would cut through ours; what matters of them is checked below."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
