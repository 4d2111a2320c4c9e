"""The stage `generate`: asks a teacher, through the journal, and keeps its answers as rows.

What is made depends on the questions, the teacher and the sampling alone: not on how many questions are in flight,
which answers an earlier run had paid for, or how often the work was killed.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self, cast

from pydantic import Field, ValidationInfo, field_validator, model_validator

from demiurgic.core.artifacts import Artifact, Dataset, LogProbabilities
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON, Summary
from demiurgic.core.records import Row, RowWriter
from demiurgic.generate.account import Account, Outcome
from demiurgic.generate.avoid import Avoid, Avoided
from demiurgic.generate.questions import Asked, Question, Questions, Unaskable, with_answer
from demiurgic.providers import PROVIDERS, ProviderChoice
from demiurgic.providers.base import ContextTooLongError, Provider, Reply, Request, Sampling, collect
from demiurgic.providers.in_order import in_order
from demiurgic.providers.journal import Journal, Journaled, Tally, open_journal
from demiurgic.providers.logprob_file import LogprobWriter
from demiurgic.providers.retries import Retrying
from demiurgic.providers.scores import logprobs_of
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig

TOO_LONG = "the question and max_tokens ({max_tokens}) do not fit the teacher's context"
CUT_OFF = "the answer was cut off at max_tokens"
REFUSED = "the teacher refused"
OTHER = 'the teacher ended its answer with "{word}"'
EMPTY = "the answer is empty"


class GenerateConfig(StageConfig):
    teacher: ProviderChoice
    prompts: Dataset
    """Conversations; what stands before the last answer is the question."""
    count: int | None = Field(default=None, gt=0)
    """So many questions, chosen by row id among the rows that can be asked; None asks them all."""
    samples: int = Field(default=1, gt=0)
    """Answers to each question."""
    system: str | None = None
    """Stands before each question, in place of the row's own system message."""
    avoid: Avoid | None = None
    """Evaluation sets whose questions are not asked: they are dropped before anything is paid for."""
    max_tokens: int = Field(default=1024, gt=0)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = Field(default=None, gt=0)
    """Keep the log-probability of each token of the answers, and of so many of the likeliest words at its place, in a
    part of its own: `logprobs`, from which a student can learn without the teacher."""

    def key_facts(self, base: Path) -> dict[str, JSON]:
        return {} if self.avoid is None else {"avoid": self.avoid.digests(base)}

    @field_validator("top_logprobs")
    @classmethod
    def _teacher_tells_them(cls, value: int | None, info: ValidationInfo) -> int | None:
        teacher = info.data.get("teacher")
        if value is not None and teacher is not None and not teacher.entry.facts.get("answer_logprobs"):
            having = [name for name, entry in PROVIDERS.entries().items() if entry.facts.get("answer_logprobs")]
            raise ValueError(
                f"the provider {teacher.name} tells no log-probabilities with its answers; those that can: "
                f"{', '.join(having)}. Leave top_logprobs out, or ask one of them"
            )
        return value

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples: {self.samples} with temperature: 0 would give the same answer {self.samples} times. Give a "
                "temperature above 0, or one sample"
            )
        return self


class _AskingFailedError(UserError):
    """The teacher did not answer, for the reason given."""


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks one question at a time; used by many threads."""

    config: GenerateConfig
    teacher: Retrying
    context: Context

    def __call__(self, asked: Asked) -> Outcome:
        question, sample = asked
        if isinstance(question, Unaskable):
            # Of a count, only questions that are asked are part.
            stands_for = 0 if question.benchmark and self.config.count else self.config.samples
            return Outcome(
                question.row, drop=question.reason, stands_for=stands_for, evidence=question.evidence,
                benchmark=question.benchmark,
            )  # fmt: skip
        name = teacher_name(self.teacher.identity)
        request = Request(question.messages, self._sampling(question.row.id, sample), sample)
        try:
            reply = collect(self.teacher.complete(request))
        except ContextTooLongError:
            reason = TOO_LONG.format(max_tokens=self.config.max_tokens)
            return Outcome(with_answer(question, None, sample=sample, teacher=name), drop=reason)
        except UserError as error:
            raise _AskingFailedError(f"{error} That was for row {question.row.id}.") from error
        row = with_answer(question, reply.text, sample=sample, teacher=name)
        return Outcome(_with_facts(row, question.row.id, sample, reply), reply, _why_not(reply))

    def stop(self) -> None:
        """Wait for nothing but the answers under way."""
        self.teacher.give_up()
        self.context.console.say("Waiting for the answers under way, to keep them. Ctrl-C leaves them.")

    def _sampling(self, row_id: str, sample: int) -> Sampling:
        config = self.config
        # 31 bits: some services take no more. At temperature 0 equal questions are one, whichever row asks.
        seed = None if config.temperature == 0 else self.context.random.number(f"{row_id}#{sample}") % 2**31
        return Sampling(
            config.max_tokens, config.temperature, config.top_p, seed, config.stop, top_logprobs=config.top_logprobs
        )


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
    if reply.finish == "other":
        return OTHER.format(word=(reply.raw or {}).get("finish_reason"))
    return None if reply.text.strip() else EMPTY


def _with_facts(row: Row, prompt: str, sample: int, reply: Reply) -> Row:
    generated: dict[str, JSON] = {"prompt": prompt, "sample": sample, "finish": reply.finish}
    if reply.usage is not None:
        generated["prompt_tokens"] = reply.usage.prompt_tokens
        generated["completion_tokens"] = reply.usage.completion_tokens
    return _with_meta(row, generated=generated)


def _with_meta(row: Row, **more: JSON) -> Row:
    return replace(row, meta=json.dumps({**row.facts, **more}, ensure_ascii=False, sort_keys=True))


def run(config: GenerateConfig, out: Path, context: Context) -> Summary:
    """Ask a teacher and keep its answers as rows; what was ever answered is never asked, or paid for, again."""
    account, started = Account(), time.perf_counter()
    refuse = None if config.avoid is None else Avoided(config.avoid, base=context.base).why_not
    questions = Questions(config.prompts, config.count, config.system, refuse=refuse)
    total = config.samples * (config.count or config.prompts.num_rows)
    with ExitStack() as stack:
        rows, dropped = (stack.enter_context(RowWriter(out / part)) for part in ("rows", "dropped"))
        logprobs = None if config.top_logprobs is None else stack.enter_context(LogprobWriter(out / "logprobs"))
        journal = stack.enter_context(open_journal(context))
        provider = config.teacher(context)
        inner = Journaled(provider, journal)
        teacher = stack.enter_context(Retrying(inner, console=context.console, seeds=context.random))
        _refuse_no_room(provider, max_tokens=config.max_tokens)
        _say_temperature(config, context)
        progress = stack.enter_context(context.console.progress("asking", total=total))
        asker = _Asker(config, teacher, context)
        asked = account.begun(_repeated(questions.chosen(), config.samples))
        outcomes = in_order(asker, asked, at_once=context.requests_in_flight, on_stop=asker.stop)
        stack.enter_context(_going_on_later(journal))
        for outcome in stack.enter_context(closing(outcomes)):
            account.take(outcome)
            progress.advance(outcome.stands_for)
            progress.show(f"{account.num_replies / (time.perf_counter() - started):.1f} answers/s")
            if outcome.drop is None:
                rows.write(outcome.row)
                if logprobs is not None:
                    _keep_logprobs(outcome, logprobs)
            else:
                dropped.write(_with_meta(outcome.row, dropped={"reason": outcome.drop, "evidence": outcome.evidence}))
        tally, identity = journal.tally, teacher.identity
    account.check(tally, kept=rows.num_rows, dropped=dropped.num_rows)
    _warn(tally, questions.skipped, context)
    _refuse_nothing(account)
    seconds = time.perf_counter() - started
    summary = account.summary(tally, identity=identity, skipped=questions.skipped, seconds=seconds)
    if config.top_logprobs is None:
        return summary
    return Summary(summary.metrics, {**summary.facts, "logprobs_with_temperature": config.temperature})


def _keep_logprobs(outcome: Outcome, writer: LogprobWriter) -> None:
    assert outcome.reply is not None
    places = logprobs_of(outcome.reply.raw)
    if not places:
        raise _AskingFailedError(
            f"The teacher was asked for top_logprobs and told none with its answer to {outcome.row.id}. Leave "
            "top_logprobs out, or ask a service that has them."
        )
    writer.write(outcome.row.id, outcome.reply.text, places)


def _refuse_no_room(provider: Provider, *, max_tokens: int) -> None:
    room = provider.context_length
    if room is not None and room <= max_tokens:
        raise UserError(
            f"max_tokens is {max_tokens}, and the teacher's context holds {room} tokens, question and answer together: "
            "no question fits. Set a smaller max_tokens."
        )


def _say_temperature(config: GenerateConfig, context: Context) -> None:
    if config.top_logprobs is not None and config.temperature not in (None, 1):
        context.console.say(
            f"top_logprobs with temperature {config.temperature:g}: some services tell the probabilities of that "
            "temperature, and a student takes them for those at 1. vLLM tells those at 1 unless told otherwise "
            "(--logprobs-mode), as our own models do."
        )


@contextmanager
def _going_on_later(journal: Journal) -> Iterator[None]:
    """Say of a failure how much is kept: by then the answers that were under way have come."""
    try:
        yield
    except _AskingFailedError as error:
        raise UserError(
            f"{error} {journal.num_answers()} answers are kept in {journal.path}: the same command goes on from there."
        ) from error.__cause__


def _repeated(items: Iterator[Question | Unaskable], samples: int) -> Iterator[Asked]:
    """Each question once per sample; what cannot be asked, once."""
    return chain.from_iterable(
        ((item, sample) for sample in range(1 if isinstance(item, Unaskable) else samples)) for item in items
    )


def _warn(tally: Tally, skipped: Counter[str], context: Context) -> None:
    if skipped:
        reasons = "; ".join(f"{number:,} × {reason}" for reason, number in skipped.most_common())
        context.console.say(f"Rows that count was not chosen from: {reasons}.")
    if tally.unknown:
        context.console.say(
            f"{tally.unknown} questions were in flight when a run was killed or a connection was lost. They were asked "
            "again, and may have been paid for twice."
        )


def _refuse_nothing(account: Account) -> None:
    if not account.num_kept:
        reasons = "; ".join(f"{number} × {reason}" for reason, number in account.dropped.most_common())
        raise UserError(f"No row is left to keep: {reasons or 'the prompts are empty'}. Change what is asked, and how.")


def _parts(config: GenerateConfig) -> Mapping[str, type[Artifact]]:
    made: dict[str, type[Artifact]] = {"rows": Dataset, "dropped": Dataset}
    return made if config.top_logprobs is None else {**made, "logprobs": LogProbabilities}


def _needs(config: GenerateConfig) -> list[str]:
    """Of the rows, and of the teacher as its registration says."""
    ours = ["pyarrow"] if config.avoid is None else ["pyarrow", "numba"]
    return [*ours, *cast("list[str]", config.teacher.entry.facts.get("needs", []))]


STAGE = Stage(
    "generate",
    GenerateConfig,
    run,
    makes=_parts,
    version=2,
    uses_seed=True,
    needs=_needs,
)
