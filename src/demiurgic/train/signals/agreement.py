"""How much of what a service says could be laid to the student's tokens: counted, told, refused when too little.

Knows no service: it is told what was matched.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON, Metric, Summary

Verdict = Literal["same", "other", "unknown"]
"""Whether a service's token is the student's. `unknown`: it gives an id, and no text to compare (half a character)."""
NUM_EXAMPLES = 5
AT_LEAST = 100
"""A limit is that of so many tokens at least: one mismatch among the first ten says little."""
ENOUGH_LONG = 20
"""So many tokens of several characters without a text are no chance."""
LEAST_COMPARED = 0.1
"""The least share of those that must come with a text. Single characters have the same ids in many vocabularies."""
COUNTS = (
    *("tokens", "tokens_matched", "tokens_unverified", "long_tokens", "long_tokens_compared"),
    *("words", "words_matched", "mass", "mass_matched"),
)


@dataclass
class Agreement:
    """Counts over all that was read."""

    limit: float
    """The least share of the text's own tokens that must be matched, of those that can be compared."""
    tokens: int = 0
    """Of the text itself, that the service named or should have."""
    tokens_matched: int = 0
    tokens_unverified: int = 0
    """Named by their ids alone: neither matched nor other ones."""
    long_tokens: int = 0
    """Of several characters."""
    long_tokens_compared: int = 0
    words: int = 0
    """Likeliest words at the places of supervised tokens."""
    words_matched: int = 0
    mass: float = 0.0
    """The probability of those words."""
    mass_matched: float = 0.0
    examples: list[str] = field(default_factory=list)

    def count_token(self, verdict: Verdict, *, is_long: bool, example: str) -> None:
        self.tokens += 1
        self.tokens_matched += verdict == "same"
        self.tokens_unverified += verdict == "unknown"
        self.long_tokens += is_long
        self.long_tokens_compared += is_long and verdict != "unknown"
        if verdict == "other" and len(self.examples) < NUM_EXAMPLES:
            self.examples.append(example)

    def count_words(self, *, num: int, num_matched: int, mass: float, mass_matched: float) -> None:
        self.words += num
        self.words_matched += num_matched
        self.mass += mass
        self.mass_matched += mass_matched

    def counts(self) -> dict[str, float]:
        """What `go_on_from` takes."""
        return {name: getattr(self, name) for name in COUNTS}

    def go_on_from(self, counts: Mapping[str, float]) -> None:
        """Stand where these counts were; what they lack is 0."""
        for name in COUNTS:
            setattr(self, name, type(getattr(self, name))(counts.get(name, 0)))

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """What is read in here was read already, or will be."""
        before = self.counts()
        yield
        self.go_on_from(before)

    def check(self, who: str) -> None:
        """Raises UserError, naming examples, once more tokens are unmatched than the limit allows, and where nothing
        could be compared.
        """
        compared = self.tokens - self.tokens_unverified
        unmatched = compared - self.tokens_matched
        if unmatched > (1 - self.limit) * max(compared, AT_LEAST):
            raise UserError(
                f"{who} does not cut texts into the student's tokens: {unmatched:,} of {compared:,} tokens are others "
                f"(such as {'; '.join(self.examples)}), and at least {self.limit:.2%} must be the same. Ask a teacher "
                "with the student's tokenizer."
            )
        if self.long_tokens >= ENOUGH_LONG and self.long_tokens_compared < LEAST_COMPARED * self.long_tokens:
            raise UserError(
                f"{who} names tokens by their ids alone: {self.long_tokens_compared:,} of {self.long_tokens:,} tokens "
                "of several characters came with their text. Whether its ids are the student's tokens cannot be seen. "
                "Let the service write tokens out (vLLM: without --skip-tokenizer-init), or ask with ask: text."
            )

    def summary(self) -> Summary:
        """Shares are left out where nothing was seen, or could be compared."""
        metrics: dict[str, float] = {"teacher_tokens_seen": self.tokens, "teacher_words_seen": self.words}
        if self.tokens:
            metrics["teacher_tokens_unverified"] = self.tokens_unverified / self.tokens
        if self.tokens > self.tokens_unverified:
            metrics["teacher_tokens_matched"] = self.tokens_matched / (self.tokens - self.tokens_unverified)
        if self.words:
            metrics["teacher_words_matched"] = self.words_matched / self.words
        if self.mass:
            metrics["teacher_mass_matched"] = self.mass_matched / self.mass
        facts: dict[str, JSON] = {"teacher_tokens_unmatched": [*self.examples]} if self.examples else {}
        return Summary({name: Metric.exact(value) for name, value in metrics.items()}, facts)
