"""The output embedding of a decoder with all that stands between its product and the logits.

Shapes: N tokens, D hidden width, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class LogitRule:
    """What becomes of the head's product: `cap · tanh(scale · (product + bias) / cap)`; without a cap, no tanh."""

    scale: float = 1.0
    softcap: float | None = None

    def apply(self, product_NV: "Tensor") -> "Tensor":
        """The logits; `product_NV` has its bias. Differentiable."""
        logits_NV = product_NV if self.scale == 1.0 else product_NV * self.scale
        return logits_NV if self.softcap is None else self.softcap * (logits_NV / self.softcap).tanh()


@dataclass(frozen=True)
class OutputHead:
    """`weight_VD` may be tied to the input embedding. `bias_V` is None where there is none."""

    weight_VD: "Tensor"
    bias_V: "Tensor | None" = None
    rule: LogitRule = LogitRule()


def output_head(model: "PreTrainedModel") -> OutputHead:
    """A model's head, read from its module and its config."""
    head = model.get_output_embeddings()
    return OutputHead(head.weight, getattr(head, "bias", None), logit_rule(model.config.to_dict()))


def logit_rule(config: Mapping[str, Any]) -> LogitRule:
    """What a config says of the logits: `logit_scale` (Cohere), `logits_scaling` (Granite; divides them),
    `final_logit_softcapping` (Gemma 2).
    """
    scale = float(config.get("logit_scale") or 1.0) / float(config.get("logits_scaling") or 1.0)
    softcap = config.get("final_logit_softcapping")
    return LogitRule(scale, float(softcap) if softcap is not None else None)
