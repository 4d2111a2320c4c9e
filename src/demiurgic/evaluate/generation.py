"""What a model writes when it is asked, and whether that is right. Knows nothing of what a suite calls right.

A question may give the start of the answer (`Item.begun`). The model then goes on from exactly the ids that training
saw: the whole answer is tokenized, the prompt is cut at the last token border within what is given, and what lies
between that border and the end of what is given the model has to write first, unscored.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from demiurgic.core.metric import JSON
from demiurgic.core.records import Row
from demiurgic.evaluate.suite import Chosen, Contender, Item, Result, Suite, choose_items, unwritable
from demiurgic.models.generate import Completion, complete
from demiurgic.models.tokenizer import encode_prompt, stop_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

BATCH_SIZE = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What was written after what was given. `finished`: the model stopped by itself, it was not cut off."""

    text: str
    finished: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """The ids a model goes on from, and the text it has to write first because no token ends where it is to begin."""

    ids: Sequence[int]
    owed: str


@final
@dataclass(frozen=True)
class GenerationSuite(Suite):
    """Greedy answers to questions made from rows. An item scores between 0 and 1: the gold answer 1, an empty one 0."""

    question: Callable[[Row], Item | None]
    """The item of a row, or None for a row that does not fit."""
    score: Callable[[Item, Answer], float]
    wanted: str
    """Which rows fit, for the person whose rows do not."""
    stop: Literal["turn", "line"]
    """Where an answer ends: at the end of the assistant's turn, or already at the end of a line."""
    max_new_tokens: int
    max_gold_tokens: int
    """Longer gold answers are not asked for: in tokens of each contender's tokenizer."""
    length: int
    """Prompt and new tokens together, at most: no longer than the windows a model was trained on."""
    max_rows: int | None

    def choose(self, rows: Iterable[Row], contenders: Sequence[Contender]) -> Chosen:
        """Items that fit every contender, so that all are asked the same."""
        alike = {(contender.tokenizer_digest, contender.context): contender for contender in contenders}.values()

        def ask(row: Row) -> Item | str:
            item = self.question(row)
            if item is None:
                return "does not fit"
            return unwritable(row, contenders) or self._misfit(item, alike) or item

        return choose_items(rows, ask, max_rows=self.max_rows, wanted=self.wanted)

    def measure(
        self, items: Sequence[Item], model: "PreTrainedModel", contender: Contender, *, advance: Callable[[int], None]
    ) -> Iterator[Result]:
        prompts = [prompt_of(item, contender) for item in items]
        # A line that is owed its own line break would be stopped by it.
        at_line = {number for number, prompt in enumerate(prompts) if self.stop == "line" and "\n" not in prompt.owed}
        ends = stop_ids(contender.tokenizer, dialect=contender.dialect)
        stops = {True: [*ends, *line_ends(contender.tokenizer)] if at_line else ends, False: ends}
        for early, stop in stops.items():
            numbers = [number for number in range(len(items)) if (number in at_line) is early]
            completions = complete(
                model,
                contender.tokenizer,
                [prompts[number].ids for number in numbers],
                max_new_tokens=self.max_new_tokens,
                stop_ids=stop,
                batch_size=BATCH_SIZE,
                progress=_Counting(advance),
            )
            for number, completion in zip(numbers, completions, strict=True):
                item, answer = items[number], answer_of(completion, owed=prompts[number].owed)
                score = self.score(item, answer)
                yield Result(item, score, 1.0, _evidence(item, answer, contender, score=score))

    def _misfit(self, item: Item, contenders: Iterable[Contender]) -> str | None:
        for contender in contenders:
            if len(_ids(item.gold, contender.tokenizer)) > self.max_gold_tokens:
                return "gold answer too long"
            needed = len(prompt_of(item, contender).ids) + self.max_new_tokens
            if needed > self.length:
                return "longer than `length`"
            if needed > contender.context:
                return "longer than a model's context"
        return None


def prompt_of(item: Item, contender: Contender) -> Prompt:
    """Where a model goes on from. Raises UserError for a conversation that its dialect cannot write."""
    asked = encode_prompt(item.messages, contender.tokenizer, dialect=contender.dialect)
    given, text = tokens_within(item.begun, item.gold, contender.tokenizer)
    return Prompt([*asked, *given], item.begun[len(text) :])


def tokens_within(begun: str, gold: str, tokenizer: "PreTrainedTokenizerFast") -> tuple[Sequence[int], str]:
    """The tokens of `begun + gold` that lie wholly in `begun`, and their text."""
    ids = _ids(begun + gold, tokenizer)
    # Its text only grows with the number of tokens; at the border itself half a character may read as a whole one.
    count = bisect_right(range(len(ids) + 1), len(begun), key=lambda size: len(_text(ids[:size], tokenizer))) - 1
    while not begun.startswith(text := _text(ids[:count], tokenizer)):
        count -= 1
    return ids[:count], text


def line_ends(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """The ids whose text begins with a line break, blanks before it aside: what stands before it in a line is whole."""
    texts = tokenizer.batch_decode([[number] for number in range(len(tokenizer))], clean_up_tokenization_spaces=False)
    return [number for number, text in enumerate(texts) if text.lstrip(" \t").startswith("\n")]


def answer_of(completion: Completion, *, owed: str) -> Answer:
    """What was written after what was owed; nothing where something else was written instead."""
    if not completion.text.startswith(owed):
        return Answer("", finished=False)
    return Answer(completion.text.removeprefix(owed), completion.finished)


def _evidence(item: Item, answer: Answer, contender: Contender, *, score: float) -> Mapping[str, JSON]:
    spans = contender.dialect.render(item.messages, generation_prompt=True)
    return {
        "prompt": "".join(span.text for span in spans) + item.begun,
        "answer": answer.text,
        "finished": answer.finished,
        "gold": item.gold,
        "score": score,
    }


def _text(ids: Sequence[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))


def _ids(text: str, tokenizer: Any) -> list[int]:
    # split_special_tokens: what looks like a special token in a row's text is plain characters, as in training.
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    return ids


class _Counting:
    """Tells a function of each prompt done."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell

    def advance(self, amount: float = 1) -> None:
        self._tell(int(amount))

    def show(self, text: str) -> None:
        del text
