"""The student and what it is trained on, as one module: its forward gives the number that is differentiated.

One module, so that whatever wraps it for several devices sees every parameter that gets a gradient: the student's, and
those of the learned maps of losses on hidden states.

Shapes: B windows, T tokens of a window, D hidden width, V vocabulary, N supervised tokens, K components.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from demiurgic.core.registry import Choice
from demiurgic.core.seeds import Seeds
from demiurgic.models.head import output_head
from demiurgic.models.layers import FINAL, layer_states
from demiurgic.models.likelihood import token_nats
from demiurgic.train.batch import TokenBatch
from demiurgic.train.checkpointed_loss import checkpointed_losses, needs_checkpointing
from demiurgic.train.chunk import BUFFER_BYTES, Workspace
from demiurgic.train.components import Component
from demiurgic.train.head_loss import head_losses
from demiurgic.train.hidden_loss import layers_of, projected, projections
from demiurgic.train.select import Selected, highest_entropy
from demiurgic.train.signals import TeacherSignal, TeacherTokens
from demiurgic.train.walk import Losses, Supervised

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, ModuleDict
    from transformers import PreTrainedModel

UNSEEDED = Seeds(0)


def objective(
    model: "PreTrainedModel",
    *,
    losses: Sequence[Choice] = (),
    vocab_size: int | None = None,
    teacher: TeacherSignal | None = None,
    seeds: Seeds = UNSEEDED,
    bf16: bool = False,
    buffer_bytes: int = BUFFER_BYTES,
) -> "Module":
    """A module around `model` with two uses.

    `forward(batch, denominator, components)` gives `Losses`. `denominator` is the sum of the weights of all supervised
    tokens of the optimizer step (all micro-batches), so that the gradients of micro-batches add up to that of the mean
    over the step's tokens, however it was cut.

    `forward(batch, nats_only=True)` gives -log p of each supervised token, fp32 [B,T], without gradients and without
    the teacher; 0 elsewhere.

    `losses` are those that components will be made of; the maps between hidden widths depend on them and on `seeds`.
    Logits are cut to `vocab_size` ids, the model's own vocabulary when None. `bf16` allows bf16 operands for the head
    where their products come out in fp32. Raises UserError where a loss on hidden states finds none.
    """
    settings = _Settings(vocab_size or model.config.vocab_size, teacher, Workspace(), bf16, buffer_bytes)
    module: Module = _module_class()(model, projections(model, teacher, losses, seeds=seeds), settings)
    return module


@cache
def _module_class() -> Any:
    """Made at first use: its base class is torch's, and this file must import without it."""
    from torch import nn

    class Objective(nn.Module):
        def __init__(self, model: "PreTrainedModel", projections: "ModuleDict", settings: _Settings) -> None:
            super().__init__()
            self.model = model
            self.projections = projections
            self._settings = settings

        def forward(
            self,
            batch: TokenBatch,
            denominator: float = 1.0,
            components: Sequence[Component] = (),
            *,
            nats_only: bool = False,
        ) -> "Losses | Tensor":
            if nats_only:
                return token_nats(
                    self.model,
                    batch.ids_BT,
                    documents_BT=batch.documents_BT,
                    wanted_BT=batch.weights_BT > 0,
                    vocab_size=self._settings.vocab_size,
                )
            return _MicroBatch(
                self.model, self.projections, self._settings, batch, denominator, tuple(components)
            ).losses()

    return Objective


@dataclass(frozen=True)
class _Asked:
    """The supervised tokens of a micro-batch, or those of them that a loss is asked of."""

    states: "Mapping[int, Tensor]"
    """The student's hidden states [N,D] that predict them, by layer."""
    labels_N: "Tensor"
    weights_N: "Tensor"
    """Divided by what the loss is a mean over."""
    teacher: TeacherTokens | None

    def select(self, chosen: Selected) -> "_Asked":
        index_S = chosen.index_S
        states = {layer: state_ND[index_S] for layer, state_ND in self.states.items()}
        said = self.teacher.select(index_S) if self.teacher is not None else None
        return _Asked(states, self.labels_N[index_S], chosen.weights_S, said)


@dataclass(frozen=True)
class _Found:
    """What some of the components say: the positions of those, and their losses in that order."""

    positions: Sequence[int]
    losses: Losses


@dataclass(frozen=True)
class _Settings:
    vocab_size: int
    teacher: TeacherSignal | None
    workspace: Workspace
    bf16: bool
    buffer_bytes: int


@dataclass(frozen=True)
class _MicroBatch:
    """One forward pass of the student, and what each component says of it."""

    model: "PreTrainedModel"
    projections: "ModuleDict"
    settings: _Settings
    batch: TokenBatch
    denominator: float
    components: Sequence[Component]

    def losses(self) -> Losses:
        import torch

        asked = self._asked()
        total = self._unreached(asked)
        raw_K = torch.zeros(len(self.components), dtype=torch.float64, device=total.device)
        for found in self._found(asked):
            total = total + found.losses.total
            raw_K[list(found.positions)] = found.losses.raw_K
        return Losses(total, raw_K)

    @cached_property
    def _active(self) -> list[tuple[int, Component]]:
        if not bool((self.batch.weights_BT != 0).any()):
            return []  # a piece that fills up a process's share: there is nothing to ask, nor to ask a teacher
        return [(position, component) for position, component in enumerate(self.components) if component.active]

    def _asked(self) -> _Asked:
        layers = [layers_of(component.loss).student for _, component in self._active if component.reads == "hidden"]
        states = layer_states(self.model, self.batch.ids_BT, documents_BT=self.batch.documents_BT, layers=layers)
        tokens, teacher = self.batch.supervised(), self.settings.teacher
        supervised = {
            layer: state_BTD.flatten(0, 1).index_select(0, tokens.positions_N) for layer, state_BTD in states.items()
        }
        asks = any(component.needs_teacher for _, component in self._active)
        said = teacher.read(self.batch, tokens) if asks and teacher is not None else None
        return _Asked(supervised, tokens.labels_N, tokens.weights_N / self.denominator, said)

    def _found(self, asked: _Asked) -> Iterator[_Found]:
        """First what is asked of all tokens, then of those that are selected, which needs the entropy of all."""
        import torch

        shares = sorted({c.top_entropy for _, c in self._active if c.top_entropy is not None})
        entropy_N = torch.empty_like(asked.weights_N, dtype=torch.float32) if shares else None
        yield from self._group(asked, None, entropy_N)
        for share in shares:
            assert entropy_N is not None
            documents_N = self.batch.documents_of_supervised()
            chosen = highest_entropy(entropy_N, documents_N=documents_N, weights_N=asked.weights_N, share=share)
            yield from self._group(asked.select(chosen), share)

    def _group(self, asked: _Asked, share: float | None, entropy_N: "Tensor | None" = None) -> Iterator[_Found]:
        """What the components with this `top_entropy` say."""
        group = [(position, component) for position, component in self._active if component.top_entropy == share]
        on_words = [(position, component) for position, component in group if component.reads != "hidden"]
        if on_words or entropy_N is not None:
            losses = self._head_losses(asked, [component for _, component in on_words], entropy_N)
            yield _Found([position for position, _ in on_words], losses)
        for position, component in group:
            if component.reads == "hidden":
                yield _Found([position], self._hidden_losses(asked, component))

    def _head_losses(self, asked: _Asked, components: Sequence[Component], entropy_N: "Tensor | None") -> Losses:
        settings = self.settings
        losses = checkpointed_losses if needs_checkpointing(self.model) else head_losses
        return losses(
            asked.states[FINAL],
            output_head(self.model),
            Supervised(asked.labels_N, asked.weights_N, asked.teacher),
            components=components,
            vocab_size=settings.vocab_size,
            workspace=settings.workspace,
            bf16=settings.bf16,
            buffer_bytes=settings.buffer_bytes,
            entropy_N=entropy_N,
        )

    def _hidden_losses(self, asked: _Asked, component: Component) -> Losses:
        layers = layers_of(component.loss)
        assert asked.teacher is not None
        pair = projected(
            asked.states[layers.student], asked.teacher.hidden(layers.teacher), by=self.projections[component.name]
        )
        raw = (component.loss(pair).double() * asked.weights_N.double()).sum()
        return Losses(component.weight * raw, raw.detach()[None])

    def _unreached(self, asked: _Asked) -> "Tensor":
        """A 0, with the gradient 0 for what no component of this step depends on.

        Whatever shares gradients out among devices waits for that of every parameter. A sum over nothing is 0 with the
        gradient 0, also where the numbers are not finite.
        """
        import torch

        hidden = {component.name for _, component in self._active if component.reads == "hidden"}
        tensors: list[Tensor] = [
            weight for name, map in self.projections.items() if name not in hidden for weight in map.parameters()
        ]
        if len(hidden) == len(self._active):
            head = self.model.get_output_embeddings().parameters()
            tensors += [asked.states[FINAL], *(parameter for parameter in head if parameter.requires_grad)]
        total = torch.zeros((), dtype=torch.float64, device=asked.weights_N.device)
        for tensor in tensors:
            total = total + tensor[:0].sum()
        return total
