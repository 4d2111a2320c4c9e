"""Where every question went: kept or dropped for a counted reason, and the proof that none was lost."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.core.records import Row
from demiurgic.generate.questions import Asked
from demiurgic.providers.base import Reply
from demiurgic.providers.journal import Tally


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question, or of a row that is none."""

    row: Row
    reply: Reply | None = None
    drop: str | None = None
    stands_for: int = 1
    """How many samples: a row that asks nothing is dropped once."""
    evidence: str = ""
    benchmark: str = ""
    """The evaluation set whose question it is, where that is why it was not asked."""


class Account:
    """Where every question went."""

    def __init__(self) -> None:
        self.num_begun = 0
        self.num_kept = 0
        self.num_replies = 0
        self.num_uncounted = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.dropped: Counter[str] = Counter()
        self.avoided: Counter[str] = Counter()
        """By evaluation set: questions of it that were not asked."""

    def begun(self, items: Iterator[Asked]) -> Iterator[Asked]:
        """The items, counted as they go by."""
        for item in items:
            self.num_begun += 1
            yield item

    def take(self, outcome: Outcome) -> None:
        if outcome.drop is None:
            self.num_kept += 1
        else:
            self.dropped[outcome.drop] += 1
        if outcome.benchmark:
            self.avoided[outcome.benchmark] += 1
        if outcome.reply is None:
            return
        self.num_replies += 1
        usage = outcome.reply.usage
        self.num_uncounted += usage is None
        self.prompt_tokens += usage.prompt_tokens if usage else 0
        self.completion_tokens += usage.completion_tokens if usage else 0

    def check(self, tally: Tally, *, kept: int, dropped: int) -> None:
        """Raises AssertionError unless all that was begun was kept or dropped, and every reply came from somewhere."""
        counted = (self.num_kept, self.dropped.total())
        if self.num_replies != tally.asked + tally.kept or self.num_begun != sum(counted) or (kept, dropped) != counted:
            raise AssertionError(
                f"answers were lost: of {self.num_begun} questions {tally} gave {self.num_replies}; {self.num_kept} "
                f"kept and {self.dropped} dropped were counted, {kept} and {dropped} written"
            )

    def summary(self, tally: Tally, *, identity: Mapping[str, JSON], skipped: Counter[str], seconds: float) -> Summary:
        numbers: dict[str, float] = {
            "rows_in": self.num_begun,
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
            numbers["tokens_per_second"] = round(tally.tokens / tally.seconds, 2)
        facts: dict[str, JSON] = {"teacher": dict(identity), "dropped": dict(sorted(self.dropped.items()))}
        if self.avoided:
            facts["avoided"] = dict(sorted(self.avoided.items()))
        if skipped:
            facts["skipped"] = dict(sorted(skipped.items()))
        return Summary({name: Metric.exact(number) for name, number in numbers.items()}, facts)
