"""LoRA in training: what is asked for, a frozen base with updates beside its linear layers, and the adapter's folder.

The layers are PEFT's, put into the model in place, so that its class and all that reads it stay. Knows no loop.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from demiurgic.core.artifacts import Model
from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.models.architectures import refuse_quantized
from demiurgic.models.lora import (
    ADAPTER_WEIGHTS,
    BASE,
    PREFIX,
    BaseFacts,
    BasePrecision,
    block_linears_of,
    quiet_bitsandbytes,
    write_base,
)
from demiurgic.models.nf4 import load_nf4
from demiurgic.models.precision import Precision
from demiurgic.models.shards import stored_precision
from demiurgic.train.weights import trained_weights

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel


class Lora(BaseModel):
    """Train an adapter: W + scaling·B·A beside each targeted weight W, which stays as it is (arXiv 2106.09685)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rank: PositiveInt = 16
    alpha: PositiveFloat | None = None
    """The scaling is alpha / rank; by default alpha is 2 · rank, so that the scaling is 2 at every rank."""
    targets: Annotated[list[str], Field(min_length=1)] | Literal["all"] = "all"
    """The linear layers of the blocks, by the ends of their names (`q_proj`, `mlp.down_proj`)."""
    rslora: bool = False
    """The scaling is alpha / sqrt(rank) (arXiv 2312.03732); wants alpha."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the input of A, in training."""
    precision: Literal["full", "nf4"] = "full"
    """`nf4` holds the base's linear layers in 4 bits. Such an adapter fits the dequantized base alone."""

    @field_validator("targets", mode="before")
    @classmethod
    def _all_or_a_list(cls, value: object) -> object:
        if isinstance(value, str) and value != "all":
            raise ValueError(f"wants all, or a list of names; write targets: [{value}]")
        return value

    @model_validator(mode="after")
    def _rslora_says_its_alpha(self) -> Self:
        if self.rslora and self.alpha is None:
            raise ValueError(
                f"rslora scales by alpha / sqrt(rank), for which 2 · rank is too large; set alpha (16 scales rank "
                f"{self.rank} by {16 / self.rank**0.5:.3g})"
            )
        return self

    @property
    def scale_alpha(self) -> float:
        return self.alpha if self.alpha is not None else 2.0 * self.rank

    @property
    def scaling(self) -> float:
        return self.scale_alpha / (self.rank**0.5 if self.rslora else self.rank)


@dataclass(frozen=True)
class AdapterPlan:
    """An adapter to train: what was asked for, the layers that means for this base, and what it will say of it."""

    lora: Lora
    targets: list[str]
    """The ends of the adapted layers' names."""
    base: BaseFacts
    folder: Path
    """The base's."""
    stored: str
    """What the base's linear layers are stored in: `fp32`, `bf16` or `fp16`."""


def adapter_plan(model: Model, lora: Lora) -> AdapterPlan:
    """Reads the base's config and its files' headers. Raises UserError for a quantized base, and wrong targets."""
    refuse_quantized(model.path)
    linears = block_linears_of(model.path)
    stored = stored_precision(model.path, modules=linears)
    base = BaseFacts.of(model, cast(BasePrecision, "nf4" if lora.precision == "nf4" else stored))
    return AdapterPlan(lora, _targets_of(lora, linears), base, model.path, stored)


def base_dtype(stored: str, precision: Precision) -> str:
    """What a base is loaded in, by torch's name; `stored` is what its linear layers are stored in."""
    return "bfloat16" if (stored, precision) == ("bf16", "bf16") else "float32"


def load_with_adapter(plan: AdapterPlan, *, precision: Precision, device: str, seed: int) -> "PreTrainedModel":
    """The frozen base with updates beside its targeted layers: A random by `seed`, B zero, both fp32.

    A base stored in bf16 stays in it under `precision: bf16`, in half the memory; all else is fp32.
    """
    require("peft")
    import torch

    from demiurgic.models.load import load_model

    dtype = base_dtype(plan.stored, precision)
    load = load_nf4 if plan.lora.precision == "nf4" else load_model
    model = load(plan.folder, device=device, dtype=dtype)
    quiet_bitsandbytes()
    from peft import inject_adapter_in_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(_peft_config(plan), model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            # PEFT gives them the base's dtype; in bf16 a small step of the optimizer would round to none
            parameter.data = parameter.data.float()
    return model


def save_adapter(model: "PreTrainedModel", plan: AdapterPlan, out: Path) -> None:
    """Write the adapter as PEFT reads it, and `base.json`. It needs no tokenizer: its base has one.

    Raises OSError when the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    config = _peft_config(plan)
    config.inference_mode = True
    config.save_pretrained(str(out))
    tensors = {
        f"{PREFIX}{name.replace('.default.', '.')}": weight.cpu().contiguous()
        for name, weight in trained_weights(model).items()
    }
    try:
        save_file(tensors, str(out / ADAPTER_WEIGHTS), metadata={"format": "pt"})
    except SafetensorError as error:
        # safetensors reports a failed write by an exception of its own, which is no OSError
        raise OSError(str(error)) from error
    write_base(out, plan.base)
    # safetensors writes files that their owner alone may read, whatever the umask says
    (out / ADAPTER_WEIGHTS).chmod((out / BASE).stat().st_mode)


def _targets_of(lora: Lora, linears: list[str]) -> list[str]:
    """The ends of names to adapt; raises UserError for one that no linear layer of the blocks has."""
    ends = sorted({name.rpartition(".")[2] for name in linears})
    if lora.targets == "all":
        return ends
    for target in lora.targets:
        if not any(f".{name}".endswith(f".{target}") for name in linears):
            raise UserError(
                f'lora.targets names "{target}", and no linear layer of the model\'s blocks is called that. They are: '
                f"{', '.join(ends)}. Embeddings and head are not adapted."
            )
    return sorted(set(lora.targets))


def _peft_config(plan: AdapterPlan) -> "LoraConfig":
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=plan.lora.rank,
        lora_alpha=plan.lora.scale_alpha,
        target_modules=plan.targets,
        lora_dropout=plan.lora.dropout,
        use_rslora=plan.lora.rslora,
        # never a path of this machine
        base_model_name_or_path=plan.base.source or "",
        revision=plan.base.revision,
    )
