"""Text that the student writes: which steps train on it, from which prompts, and the windows that it becomes.

A prompt is what stands in a document before its first supervised token. Everything is drawn from streams named by the
seed, the step and the place of the prompt in it, so that the text is the same on one process and on many, after a
resumption, and however many rows are written at once; a window that comes twice in a step is written on twice.

Shapes: B windows, T tokens of a window.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.core.seeds import Seeds
from demiurgic.models.precision import Precision, autocast
from demiurgic.models.sample import Prompt, Written, sample
from demiurgic.models.windows import Batch, Windows
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.on_policy import OnPolicy
from demiurgic.train.source import FromData, StepText
from demiurgic.train.weights import is_sharded

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

MIN_PROMPT = 2
"""Tokens. The first token of a document is never supervised, so a prompt of one says nothing."""
WINDOWS_AT_ONCE = 1024
"""That are looked through for a prompt."""


@dataclass(frozen=True)
class Place:
    """Where a prompt stands: tokens `start` to `end` of one of some windows."""

    window: int
    """Its position among those windows."""
    start: int
    end: int


@dataclass(frozen=True)
class Writer:
    """The student as one who writes."""

    model: "PreTrainedModel"
    stop_ids: Collection[int]
    vocab_size: int
    context: int
    """The most tokens of prompt and answer together, of student and teacher."""
    precision: Precision
    accelerator: Any
    """Shares the prompts out among the processes."""

    def write(self, prompts: Sequence[Prompt], *, temperature: float, rows: int) -> list[Written]:
        """The same for all processes, each of which wrote its share. Raises UserError for a student in shards."""
        refuse_shards(self.model)
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        by_length = sorted(range(len(prompts)), key=lambda number: len(prompts[number].ids))
        mine = by_length[rank::world]
        with autocast(self.model.device, self.precision):
            written = sample(
                self.model,
                [prompts[number] for number in mine],
                temperature=temperature,
                stop_ids=self.stop_ids,
                vocab_size=self.vocab_size,
                batch_size=rows,
            )
        found = dict(self._of_all(list(zip(mine, written, strict=True))))
        return [found[number] for number in range(len(prompts))]

    def _of_all(self, mine: list[tuple[int, Written]]) -> list[tuple[int, Written]]:
        if self.accelerator.num_processes == 1:
            return mine
        import torch.distributed as dist

        shares: list[Any] = [None] * self.accelerator.num_processes
        dist.all_gather_object(shares, mine)
        return [item for share in shares for item in share]


@dataclass(frozen=True)
class WithStudent:
    """The windows of the data, or at some steps what the student writes after their prompts."""

    data: FromData
    on_policy: OnPolicy
    curriculum: Curriculum
    writer: Writer
    seeds: Seeds

    def text(self, step: int, *, num_steps: int | None = None) -> StepText:
        share = self.curriculum.number(self.on_policy.share, step, num_steps=num_steps)
        if self.seeds.stream(f"on_policy/coin/{step}").random() >= share:
            return self.data.text(step)
        indices, batch, places = self._prompts(step)
        prompts = [self._prompt(batch, place, step=step) for place in places]
        written = self.writer.write(prompts, temperature=self.on_policy.temperature, rows=self.on_policy.rows)
        return StepText(answered(prompts, written), "student", indices, facts_of(written))

    def _prompts(self, step: int) -> tuple[list[int], Batch, list[Place]]:
        """Those of the step's windows; where these have none, of the next windows that have."""
        for later in count(step):
            indices = self.data.order.windows(later)
            batch = self.data.windows.batch(indices)
            if places := prompt_places(batch.weights_BT, batch.documents_BT):
                return indices, batch, places
        raise AssertionError("windows without any prompt are refused before the training")

    def _prompt(self, batch: Batch, place: Place, *, step: int) -> Prompt:
        ids = batch.ids_BT[place.window, place.start : place.end].tolist()
        noise = self.seeds.array_stream(f"on_policy/{step}/{place.window}/{place.start}")
        room = min(self.on_policy.max_new_tokens, self.writer.context - len(ids))
        return Prompt(ids, noise.random(room))


def prompt_places(weights_BT: "NDArray[Any]", documents_BT: "NDArray[Any]") -> list[Place]:
    """The prompt of each document that has supervised tokens and at least `MIN_PROMPT` tokens before the first."""
    import numpy as np

    positions_T = np.arange(documents_BT.shape[1])
    first_BT = np.ones(documents_BT.shape, bool)
    first_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    starts_BT = np.maximum.accumulate(np.where(first_BT, positions_T, 0), axis=1)
    supervised_BT = weights_BT > 0
    before_BT = supervised_BT.cumsum(axis=1) - supervised_BT
    first_supervised_BT = supervised_BT & (before_BT == np.take_along_axis(before_BT, starts_BT, axis=1))
    found_BT = first_supervised_BT & (positions_T - starts_BT >= MIN_PROMPT)
    return [Place(int(b), int(starts_BT[b, t]), int(t)) for b, t in np.argwhere(found_BT)]


def refuse_no_prompts(windows: Windows) -> None:
    """Raises UserError when no document of the windows has a prompt."""
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        part = slice(start, start + WINDOWS_AT_ONCE)
        if prompt_places(windows.weights_NT[part], windows.documents_NT[part]):
            return
    raise UserError(
        f"{windows.folder}: on_policy lets the student go on from prompts, and no row has any: a prompt is the "
        f"{MIN_PROMPT} or more tokens before the first that is trained on. Tokenize conversations with loss_on: "
        "answers, or leave on_policy away."
    )


def refuse_shards(model: "PreTrainedModel") -> None:
    """Raises UserError for a student of which each process holds a part."""
    if any(is_sharded(parameter) or hasattr(parameter, "ds_id") for parameter in model.parameters()):
        raise UserError(
            "on_policy needs the whole student on each process, and here each holds a shard of it (fsdp2). "
            "Use --strategy ddp, or leave on_policy away."
        )


def answered(prompts: Sequence[Prompt], written: Sequence[Written]) -> Batch:
    """One window for each prompt with its answer, padded to the longest; what was written has weight 1."""
    import numpy as np

    length = max(len(prompt.ids) + len(text.ids) for prompt, text in zip(prompts, written, strict=True))
    shape = (len(prompts), length)
    ids_BT, documents_BT = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    weights_BT = np.zeros(shape, np.float32)
    for row, (prompt, text) in enumerate(zip(prompts, written, strict=True)):
        begin, end = len(prompt.ids), len(prompt.ids) + len(text.ids)
        ids_BT[row, :begin], ids_BT[row, begin:end] = prompt.ids, text.ids
        documents_BT[row, :end] = 1
        weights_BT[row, begin:end] = 1
    return Batch(ids_BT, weights_BT, documents_BT)


def facts_of(written: Sequence[Written]) -> dict[str, JSON]:
    """What the step's line in the log says of the text."""
    num_tokens = sum(len(text.ids) for text in written)
    return {
        "sampled": {
            "texts": len(written),
            "tokens": num_tokens,
            "mean_length": num_tokens / len(written),
            "finished_share": sum(text.finished for text in written) / len(written),
        }
    }
