"""The stage `generate`: asks a teacher, through the journal, and keeps its answers as rows.

What is made depends on the questions, the teacher and the sampling alone: not on how many questions are in flight,
which answers an earlier run had paid for, or how often the work was killed.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.core.records import Row, RowWriter
from demiurgic.generate.in_order import in_order
from demiurgic.generate.questions import Question, Questions, Unaskable, with_answer
from demiurgic.providers import ProviderChoice
from demiurgic.providers.base import ContextTooLongError, Reply, Request, Sampling, collect
from demiurgic.providers.journal import Journal, Journaled, Tally, open_journal
from demiurgic.providers.retries import Retrying
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig

TOO_LONG = "the question does not fit the teacher's context"
CUT_OFF = "the answer was cut off at max_tokens"
REFUSED = "the teacher refused"
EMPTY = "the answer is empty"


class GenerateConfig(StageConfig):
    teacher: ProviderChoice
    prompts: Dataset
    """Conversations; what stands before the last answer is the question."""
    count: int | None = Field(default=None, gt=0)
    """So many questions, chosen by row id; None asks them all."""
    samples: int = Field(default=1, gt=0)
    """Answers to each question."""
    system: str | None = None
    """Stands before each question, in place of the row's own system message."""
    max_tokens: int = Field(default=1024, gt=0)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples: {self.samples} with temperature: 0 would give the same answer {self.samples} times. Give a "
                "temperature above 0, or one sample"
            )
        return self


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one question, or of a row that is none."""

    row: Row
    reply: Reply | None = None
    drop: str | None = None


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks one question at a time; used by many threads."""

    config: GenerateConfig
    teacher: Retrying
    context: Context
    journal: Journal

    def __call__(self, asked: tuple[Question | Unaskable, int]) -> _Outcome:
        question, sample = asked
        if isinstance(question, Unaskable):
            return _Outcome(question.row, drop=question.reason)
        name = teacher_name(self.teacher.identity)
        request = Request(question.messages, self._sampling(question.row.id, sample), sample)
        try:
            reply = collect(self.teacher.complete(request))
        except ContextTooLongError:
            return _Outcome(with_answer(question, None, sample=sample, teacher=name), drop=TOO_LONG)
        except UserError as error:
            raise UserError(
                f"{error} That was for row {question.row.id}. {self.journal.num_answers()} answers are kept in "
                f"{self.journal.path}: the same command goes on from there."
            ) from error
        row = with_answer(question, reply.text, sample=sample, teacher=name)
        return _Outcome(_with_facts(row, question.row.id, sample, reply), reply, _why_not(reply))

    def stop(self) -> None:
        """Wait for nothing but the answers under way."""
        self.teacher.give_up()
        self.context.console.say("Waiting for the answers under way, to keep them. Ctrl-C leaves them.")

    def _sampling(self, row_id: str, sample: int) -> Sampling:
        config = self.config
        # 31 bits: some services take no more. At temperature 0 equal questions are one, whichever row asks.
        seed = None if config.temperature == 0 else self.context.random.number(f"{row_id}#{sample}") % 2**31
        return Sampling(config.max_tokens, config.temperature, config.top_p, seed, config.stop)


def teacher_name(identity: Mapping[str, JSON]) -> str:
    """Who answered, as rows say it: the values of an identity, its digests cut short."""
    named = {name: value for name, value in identity.items() if isinstance(value, str)}
    return " ".join(value[:12] if "digest" in name else value for name, value in sorted(named.items(), reverse=True))


def _why_not(reply: Reply) -> str | None:
    """Why an answer is no row to train on, or None. Looks at how it ended, not at what it says."""
    if reply.finish == "refused":
        return REFUSED
    if reply.finish == "length":
        return CUT_OFF
    return None if reply.text.strip() else EMPTY


def _with_facts(row: Row, prompt: str, sample: int, reply: Reply) -> Row:
    generated: dict[str, JSON] = {"prompt": prompt, "sample": sample, "finish": reply.finish}
    if reply.usage is not None:
        generated["prompt_tokens"] = reply.usage.prompt_tokens
        generated["completion_tokens"] = reply.usage.completion_tokens
    return _with_meta(row, generated=generated)


def _with_meta(row: Row, **more: JSON) -> Row:
    return replace(row, meta=json.dumps({**row.facts, **more}, ensure_ascii=False, sort_keys=True))


class _Account:
    """Where every question went."""

    def __init__(self) -> None:
        self.num_kept = 0
        self.num_replies = 0
        self.num_uncounted = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.dropped: Counter[str] = Counter()

    def take(self, outcome: _Outcome) -> None:
        if outcome.drop is None:
            self.num_kept += 1
        else:
            self.dropped[outcome.drop] += 1
        if outcome.reply is None:
            return
        self.num_replies += 1
        usage = outcome.reply.usage
        self.num_uncounted += usage is None
        self.prompt_tokens += usage.prompt_tokens if usage else 0
        self.completion_tokens += usage.completion_tokens if usage else 0

    def check(self, tally: Tally, *, kept: int, dropped: int) -> None:
        """Raises AssertionError unless every reply came from somewhere and went somewhere."""
        if self.num_replies != tally.asked + tally.kept or (kept, dropped) != (self.num_kept, self.dropped.total()):
            raise AssertionError(
                f"answers were lost: {tally} gave {self.num_replies}; {self.num_kept} kept and {self.dropped} dropped "
                f"were counted, {kept} and {dropped} written"
            )

    def summary(self, tally: Tally, *, identity: Mapping[str, JSON], seconds: float) -> Summary:
        numbers: dict[str, float] = {
            "rows": self.num_kept,
            "dropped": self.dropped.total(),
            "asked": tally.asked,
            "from_journal": tally.kept,
            "unknown": tally.unknown,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "answers_without_token_counts": self.num_uncounted,
            "seconds": round(seconds, 3),
        }
        if tally.tokens:
            numbers["tokens_per_second"] = round(tally.tokens / seconds, 2)
        facts: dict[str, JSON] = {"teacher": dict(identity), "dropped": dict(sorted(self.dropped.items()))}
        return Summary({name: Metric.exact(number) for name, number in numbers.items()}, facts)


def run(config: GenerateConfig, out: Path, context: Context) -> Summary:
    """Ask a teacher and keep its answers as rows; what was ever answered is never asked, or paid for, again."""
    account, started = _Account(), time.perf_counter()
    questions = Questions(config.prompts, config.count, config.system)
    total = config.samples * (config.count or config.prompts.num_rows)
    with ExitStack() as stack:
        rows, dropped = (stack.enter_context(RowWriter(out / part)) for part in ("rows", "dropped"))
        journal = stack.enter_context(open_journal(context))
        inner = Journaled(config.teacher(context), journal)
        teacher = stack.enter_context(Retrying(inner, console=context.console, seeds=context.random))
        progress = stack.enter_context(context.console.progress("asking", total=total))
        asker = _Asker(config, teacher, context, journal)
        asked = _repeated(questions.chosen(), config.samples)
        outcomes = in_order(asker, asked, at_once=context.requests_in_flight, on_stop=asker.stop)
        for outcome in stack.enter_context(closing(outcomes)):
            account.take(outcome)
            progress.advance()
            progress.show(f"{account.num_replies / (time.perf_counter() - started):.1f} answers/s")
            if outcome.drop is None:
                rows.write(outcome.row)
            else:
                dropped.write(_with_meta(outcome.row, dropped={"reason": outcome.drop, "evidence": ""}))
        tally, identity = journal.tally, teacher.identity
    account.check(tally, kept=rows.num_rows, dropped=dropped.num_rows)
    _warn(tally, context)
    _refuse_nothing(account)
    return account.summary(tally, identity=identity, seconds=time.perf_counter() - started)


def _repeated(items: Iterator[Question | Unaskable], samples: int) -> Iterator[tuple[Question | Unaskable, int]]:
    """Each question once per sample; what cannot be asked, once."""
    return chain.from_iterable(
        ((item, sample) for sample in range(1 if isinstance(item, Unaskable) else samples)) for item in items
    )


def _warn(tally: Tally, context: Context) -> None:
    if tally.unknown:
        context.console.say(
            f"{tally.unknown} questions were in flight when a run was killed or a connection was lost. They were asked "
            "again, and may have been paid for twice."
        )


def _refuse_nothing(account: _Account) -> None:
    if not account.num_kept:
        reasons = "; ".join(f"{number} × {reason}" for reason, number in account.dropped.most_common())
        raise UserError(f"No row is left to keep: {reasons or 'the prompts are empty'}. Change what is asked, and how.")


STAGE = Stage(
    "generate",
    GenerateConfig,
    run,
    makes={"rows": Dataset, "dropped": Dataset},
    uses_seed=True,
    needs=("pyarrow",),
)
