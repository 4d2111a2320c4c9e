"""What a loss on hidden states sees: the student's, mapped to the teacher's width, beside the teacher's.

The map is learned with the student and is no part of it: once trained, the student is saved without it.

Shapes: N supervised tokens, D the student's width, E the teacher's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from demiurgic.core.errors import UserError
from demiurgic.core.registry import Choice
from demiurgic.core.seeds import Seeds
from demiurgic.models.layers import FINAL, refuse_missing_layer
from demiurgic.train.components import names_of
from demiurgic.train.losses import reads
from demiurgic.train.signals import TeacherSignal

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear, Module, ModuleDict
    from transformers import PreTrainedModel


def _no_embeddings(layer: int) -> int:
    if layer == 0:
        raise ValueError("layers are counted from 1; -1 is the final one, which the head reads")
    return layer


Layer = Annotated[int, AfterValidator(_no_embeddings)]
"""An option of a loss on hidden states, counted as models/layers.py does."""


@dataclass(frozen=True)
class HiddenPair:
    """Hidden states of the positions that predict N supervised tokens, at one layer of each model, fp32."""

    student_NE: "Tensor"
    """Mapped to the teacher's width; differentiable."""
    teacher_NE: "Tensor"


@dataclass(frozen=True)
class Layers:
    """Which layers a hidden loss compares, counted as models/layers.py does."""

    student: int
    teacher: int


def layers_of(loss: Choice) -> Layers:
    """The layers of a loss that reads hidden states; without the option, the final ones."""
    given: dict[str, Any] = dict(loss.options)
    return Layers(given.get("student_layer", FINAL), given.get("teacher_layer", FINAL))


def projections(
    model: "PreTrainedModel", teacher: TeacherSignal | None, losses: Sequence[Choice], *, seeds: Seeds
) -> "ModuleDict":
    """A linear map from the student's width to the teacher's for each hidden loss, by the loss's name.

    Between equal widths it begins as the identity, else as a random orthogonal map, which keeps lengths where the
    teacher is wider. fp32. Raises UserError for a layer that the student does not have, and for a teacher without
    hidden states.
    """
    from torch import nn

    hidden = [(name, loss) for name, loss in zip(names_of(losses), losses, strict=True) if reads(loss) == "hidden"]
    found = nn.ModuleDict()
    for name, loss in hidden:
        refuse_missing_layer(model, layers_of(loss).student)
        width = teacher.hidden_width if teacher is not None else None
        if width is None:
            raise UserError(
                f"The loss {name} compares hidden states, and this teacher gives none. Take a live teacher, or the "
                "part hidden of a cache_logits step."
            )
        found[name] = _projection(model.config.hidden_size, width, seed=seeds.number(f"projection/{name}"))
    return found.to(model.device)


def projected(student_ND: "Tensor", teacher_NE: "Tensor", *, by: "Module") -> HiddenPair:
    """The pair that a loss reads, in fp32 also under autocast; `by` maps the student's states."""
    import torch

    with torch.autocast(student_ND.device.type, enabled=False):
        return HiddenPair(by(student_ND.float()), teacher_NE.float())


def _projection(student_width: int, teacher_width: int, *, seed: int) -> "Linear":
    import torch
    from torch import nn

    # not initialised by torch, which would draw from the stream that dropout reads
    nothing = nn.Linear(student_width, teacher_width, bias=False, dtype=torch.float32, device="meta")
    found = nothing.to_empty(device="cpu")
    with torch.no_grad():
        if student_width == teacher_width:
            nn.init.eye_(found.weight)
        else:
            nn.init.orthogonal_(found.weight, generator=torch.Generator().manual_seed(seed))
    return found
