"""Answers from a local model: batches of prompts padded on the left, with a key-value cache. Knows ids, not rows."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.console import Progress
from demiurgic.core.errors import UserError
from demiurgic.models.load import context_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote: `finished` says that it stopped by itself. The stop id is in neither `ids` nor `text`."""

    ids: list[int]
    text: str
    finished: bool


def complete(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    batch_size: int,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Completion]:
    """Go on from each prompt until a stop id or `max_new_tokens`; in the order of the prompts.

    `temperature` 0 takes the likeliest token, else tokens are sampled, the same ones for the same seed, prompts and
    batch size; nothing is read from the model's generation config. `progress` advances by one per prompt.

    Raises UserError when a prompt is empty, or with its answer is longer than the model's context; nothing is cut.
    """
    import torch

    _refuse_misfits(prompts, max_new_tokens=max_new_tokens, context=context_length(model))
    by_length = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    done: dict[int, Completion] = {}
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad(), _no_habits(model):
        torch.manual_seed(seed)
        for start in range(0, len(by_length), batch_size):
            numbers = by_length[start : start + batch_size]
            answers = _answer(
                model,
                [prompts[number] for number in numbers],
                max_new_tokens=max_new_tokens,
                stop_ids=sorted(stop_ids),
                pad_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(stop_ids),
                temperature=temperature,
            )
            for number, ids in zip(numbers, answers, strict=True):
                done[number] = _completion(ids, tokenizer, stop_ids=stop_ids)
            if progress is not None:
                progress.advance(len(numbers))
    return [done[number] for number in range(len(prompts))]


@contextmanager
def _no_habits(model: Any) -> Iterator[None]:
    """Without the model's own generation config: what a call does not set, such as a penalty, is else taken from it."""
    from transformers import GenerationConfig

    habits = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = habits


def _answer(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: list[int],
    pad_id: int,
    temperature: float,
) -> list[list[int]]:
    """The ids after each prompt, with whatever stands after the first stop id."""
    import torch
    from transformers import GenerationConfig

    width = max(map(len, prompts))
    padded = [[pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    output = model.generate(
        torch.tensor(padded, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        generation_config=GenerationConfig(
            max_new_tokens=max_new_tokens, eos_token_id=stop_ids, pad_token_id=pad_id, use_cache=True, **sampling
        ),
    )
    ids: list[list[int]] = output[:, width:].tolist()
    return ids


def _completion(ids: list[int], tokenizer: Any, *, stop_ids: Collection[int]) -> Completion:
    stop = next((position for position, id in enumerate(ids) if id in stop_ids), None)
    kept = ids[:stop]
    return Completion(kept, tokenizer.decode(kept, clean_up_tokenization_spaces=False), stop is not None)


def _refuse_misfits(prompts: Sequence[Sequence[int]], *, max_new_tokens: int, context: int) -> None:
    for number, prompt in enumerate(prompts, start=1):
        if not prompt:
            raise UserError(f"Prompt {number} is empty; a model can only go on from at least one token.")
        if len(prompt) + max_new_tokens > context:
            raise UserError(
                f"Prompt {number} has {len(prompt)} tokens; with {max_new_tokens} new ones it is longer than the "
                f"model's context of {context}. Shorten the prompt or ask for fewer new tokens."
            )
