"""Text that a model writes, drawn from its own distribution with noise that is given: the same noise, the same text.

Prompts are padded on the left and share a key-value cache. Each row has its own noise, one number per token, so that
what is written after a prompt does not depend on its neighbours, nor on how many there are. Knows ids, not rows.

Shapes: B rows, L tokens of the longest prompt, V vocabulary, D hidden width.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.models.head import output_head

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Prompt:
    """What a row goes on from, and one number in [0, 1) for each token that it may write."""

    ids: Sequence[int]
    noise: "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Written:
    """What a row wrote. `finished` says that it ended by itself; the stop id is the last of `ids` then."""

    ids: list[int]
    finished: bool


def sample(
    model: "PreTrainedModel",
    prompts: Sequence[Prompt],
    *,
    temperature: float,
    stop_ids: Collection[int],
    vocab_size: int,
    batch_size: int,
) -> list[Written]:
    """Go on from each prompt until a stop id or the end of its noise; in the order of the prompts.

    Tokens are drawn from softmax(logits / temperature) over the first `vocab_size` ids. The model is in eval mode
    meanwhile, without gradients, and every module of it is back in its mode afterwards. Rows of like length are written
    together, `batch_size` at a time. Raises UserError when the model predicts what is no finite number.
    """
    by_length = sorted(range(len(prompts)), key=lambda number: (len(prompts[number].ids), len(prompts[number].noise)))
    done: dict[int, Written] = {}
    with _writing(model):
        next_probs = _next_probs(model, temperature=temperature, vocab_size=vocab_size)
        for start in range(0, len(by_length), batch_size):
            numbers = by_length[start : start + batch_size]
            rows = _Rows(model, [prompts[number] for number in numbers], stop_ids=stop_ids)
            while rows.live:
                rows.advance(next_probs)
            done.update(zip(numbers, rows.written, strict=True))
    return [done[number] for number in range(len(prompts))]


def draw(prob_BV: "Tensor", noise_B: "Tensor") -> "Tensor":
    """The id whose share of [0, 1) each number falls in (inversion of the cumulative distribution), in fp64.

    With a number drawn evenly from [0, 1) an id comes with its probability. One of probability 0 never comes.
    """
    import torch

    cumulative_BV = prob_BV.double().cumsum(dim=-1)
    total_B = cumulative_BV[:, -1]
    # below the total, which rounding could reach: the first id with more than this before or in it
    aim_B = torch.minimum(noise_B * total_B, total_B.nextafter(torch.zeros_like(total_B)))
    return torch.searchsorted(cumulative_BV, aim_B[:, None], right=True)[:, 0]


class _Rows:
    """Some rows on their way. Those that are done leave the batch when half of it is."""

    def __init__(self, model: "PreTrainedModel", prompts: Sequence[Prompt], *, stop_ids: Collection[int]) -> None:
        self._decoder: Any = model.get_decoder()
        self._device = model.device
        self._stops = frozenset(stop_ids)
        self._prompts = prompts
        self._ids: list[list[int]] = [[] for _ in prompts]
        self.live = [row for row, prompt in enumerate(prompts) if len(prompt.noise)]
        self._in_batch = list(range(len(prompts)))
        self._cache: Any = None
        self._input_BL, self._mask_BL = self._padded()

    @property
    def written(self) -> list[Written]:
        return [Written(ids, self._finished(row)) for row, ids in enumerate(self._ids)]

    def _padded(self) -> "tuple[Tensor, Tensor]":
        import torch

        width = max(len(prompt.ids) for prompt in self._prompts)
        ids = [[0] * (width - len(prompt.ids)) + list(prompt.ids) for prompt in self._prompts]
        mask = [[0] * (width - len(prompt.ids)) + [1] * len(prompt.ids) for prompt in self._prompts]
        return torch.tensor(ids, device=self._device), torch.tensor(mask, device=self._device)

    def advance(self, next_probs: "Callable[[Tensor], Tensor]") -> None:
        """One more token for each row of the batch; what a row that is done writes is not kept."""
        import torch

        hidden_BD = self._last_hidden()
        drawn_B = draw(next_probs(hidden_BD), self._noise())
        live = set(self.live)
        for row, id in zip(self._in_batch, drawn_B.tolist(), strict=True):
            if row in live:
                self._ids[row].append(id)
        self.live = [row for row in self.live if not self._done(row)]
        self._input_BL = drawn_B[:, None]
        self._mask_BL = torch.cat([self._mask_BL, torch.ones_like(self._mask_BL[:, :1])], dim=1)
        if self.live and 2 * len(self.live) <= len(self._in_batch):
            self._leave_out_done()

    def _last_hidden(self) -> "Tensor":
        width = self._input_BL.shape[1]
        positions_BL = (self._mask_BL.cumsum(dim=1) - 1).clamp_min(0)[:, -width:]
        output = self._decoder(
            input_ids=self._input_BL,
            attention_mask=self._mask_BL,
            position_ids=positions_BL,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = output.past_key_values
        hidden_BD: Tensor = output.last_hidden_state[:, -1]
        return hidden_BD

    def _noise(self) -> "Tensor":
        """Of the next token of each row; of one that is done, any."""
        import torch

        live = set(self.live)
        noise = [self._prompts[row].noise[len(self._ids[row])] if row in live else 0.0 for row in self._in_batch]
        return torch.tensor(noise, dtype=torch.float64, device=self._device)

    def _finished(self, row: int) -> bool:
        return bool(self._ids[row]) and self._ids[row][-1] in self._stops

    def _done(self, row: int) -> bool:
        return self._finished(row) or len(self._ids[row]) == len(self._prompts[row].noise)

    def _leave_out_done(self) -> None:
        import torch

        live = set(self.live)
        kept_B = torch.tensor([place for place, row in enumerate(self._in_batch) if row in live], device=self._device)
        self._in_batch = [row for row in self._in_batch if row in live]
        self._input_BL, self._mask_BL = self._input_BL[kept_B], self._mask_BL[kept_B]
        self._cache.batch_select_indices(kept_B)


def _next_probs(model: "PreTrainedModel", *, temperature: float, vocab_size: int) -> "Callable[[Tensor], Tensor]":
    """From final hidden states [B,D] the distribution [B,V] of the next id, fp64 out of unrounded fp32 logits."""
    import torch

    head = output_head(model)
    weight_VD = head.weight_VD[:vocab_size].float()
    for update in head.updates:
        weight_VD = weight_VD + update.scaling * (update.b_VR[:vocab_size].float() @ update.a_RD.float())
    bias_V = torch.zeros(()) if head.bias_V is None else head.bias_V[:vocab_size].float()
    bias_V = bias_V.to(weight_VD.device)

    def probs(hidden_BD: "Tensor") -> "Tensor":
        with torch.autocast(hidden_BD.device.type, enabled=False):
            logits_BV = head.rule.apply_(hidden_BD.float() @ weight_VD.t() + bias_V)
            prob_BV = (logits_BV.double() / temperature).softmax(dim=-1)
        if not prob_BV.isfinite().all():
            raise UserError(
                "What the model predicts next is not a finite number, so nothing can be drawn from it. Try a lower "
                "learning_rate, or precision: fp32."
            )
        return prob_BV

    return probs


@contextmanager
def _writing(model: "PreTrainedModel") -> Iterator[None]:
    """Without gradients and dropout, and with an attention that takes one token at a time."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    attention = model.config._attn_implementation
    model.eval()
    if attention == "flex_attention":
        model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    try:
        # compiled blocks would be compiled anew for each length
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        if attention == "flex_attention":
            model.set_attn_implementation(attention)
        for module, mode in modes:
            module.training = mode
