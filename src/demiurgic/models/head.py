"""The output embedding of a decoder with all that stands between its product and the logits.

Shapes: N tokens, D hidden width, V vocabulary, R rank.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class LogitRule:
    """What becomes of the head's product: `cap · tanh(scale · product / cap)`; without a cap, `scale · product`."""

    scale: float = 1.0
    softcap: float | None = None

    def apply_(self, product_NV: "Tensor", *, slope_NV: "Tensor | None" = None) -> "Tensor":
        """Turn products, which have their bias, into logits, in place.

        With a cap, `slope_NV` receives the derivative of a logit with respect to `scale · product`: 1 - (logit / cap)².
        Without one that is 1 everywhere, and nothing is written.
        """
        import torch

        if self.softcap is None:
            return product_NV if self.scale == 1.0 else product_NV.mul_(self.scale)
        capped_NV = product_NV.mul_(self.scale / self.softcap).tanh_()
        if slope_NV is not None:
            torch.mul(capped_NV, capped_NV, out=slope_NV).neg_().add_(1.0)
        return capped_NV.mul_(self.softcap)


@dataclass(frozen=True)
class HeadUpdate:
    """A LoRA on the head, as PEFT injects it: scaling · B·A beside the weight."""

    a_RD: "Tensor"
    b_VR: "Tensor"
    scaling: float
    dropout: float = 0.0
    """Of A's input; 0 outside of training."""


@dataclass(frozen=True)
class OutputHead:
    """`weight_VD` may be tied to the input embedding. `bias_V` is None where there is none."""

    weight_VD: "Tensor"
    bias_V: "Tensor | None" = None
    rule: LogitRule = LogitRule()
    updates: tuple[HeadUpdate, ...] = ()

    def first(self, vocab_size: int | None) -> "OutputHead":
        """The head of the first words alone, as views; the whole for None."""
        if vocab_size is None:
            return self
        bias_V = None if self.bias_V is None else self.bias_V[:vocab_size]
        updates = tuple(replace(update, b_VR=update.b_VR[:vocab_size]) for update in self.updates)
        return OutputHead(self.weight_VD[:vocab_size], bias_V, self.rule, updates)


def output_head(model: "PreTrainedModel") -> OutputHead:
    """A model's head, read from its module and its config."""
    head = model.get_output_embeddings()
    rule = logit_rule(model.config.to_dict())
    return OutputHead(head.weight, getattr(head, "bias", None), rule, tuple(_updates(head)))


def logit_rule(config: Mapping[str, Any]) -> LogitRule:
    """What a config says of the logits: `logit_scale` (Cohere), `logits_scaling` (Granite; divides them),
    `final_logit_softcapping` (Gemma 2).
    """
    scale = float(config.get("logit_scale") or 1.0) / float(config.get("logits_scaling") or 1.0)
    softcap = config.get("final_logit_softcapping")
    return LogitRule(scale, float(softcap) if softcap is not None else None)


def _updates(head: Any) -> list[HeadUpdate]:
    """PEFT's layers are told by their parts: PEFT itself need not be installed where there are none."""
    if not hasattr(head, "lora_A") or head.disable_adapters or head.merged:
        return []
    return [
        HeadUpdate(
            head.lora_A[name].weight,
            head.lora_B[name].weight,
            float(head.scaling[name]),
            float(getattr(head.lora_dropout[name], "p", 0.0)) if head.training else 0.0,
        )
        for name in head.active_adapters
        if name in head.lora_A
    ]
