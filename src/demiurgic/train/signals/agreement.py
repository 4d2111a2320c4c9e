"""How much of what a service says could be laid to the student's tokens: counted, told, refused when too little.

Knows no service: it is told what was matched.
"""

from dataclasses import dataclass, field

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON, Metric, Summary

NUM_EXAMPLES = 5
AT_LEAST = 100
"""A limit is that of so many tokens at least: one mismatch among the first ten says little."""


@dataclass
class Agreement:
    """Counts over all that was read by this process."""

    limit: float
    """The least share of the text's own tokens that must be matched."""
    tokens: int = 0
    """Of the text itself, that the service named or should have."""
    tokens_matched: int = 0
    words: int = 0
    """Likeliest words at the places of supervised tokens."""
    words_matched: int = 0
    mass: float = 0.0
    """The probability of those words."""
    mass_matched: float = 0.0
    examples: list[str] = field(default_factory=list)

    def count_token(self, *, matched: bool, example: str) -> None:
        self.tokens += 1
        self.tokens_matched += matched
        if not matched and len(self.examples) < NUM_EXAMPLES:
            self.examples.append(example)

    def count_words(self, *, num: int, num_matched: int, mass: float, mass_matched: float) -> None:
        self.words += num
        self.words_matched += num_matched
        self.mass += mass
        self.mass_matched += mass_matched

    def check(self, who: str) -> None:
        """Raises UserError, naming examples, once more tokens are unmatched than the limit allows."""
        unmatched = self.tokens - self.tokens_matched
        if unmatched <= (1 - self.limit) * max(self.tokens, AT_LEAST):
            return
        raise UserError(
            f"{who} does not cut texts into the student's tokens: {unmatched:,} of {self.tokens:,} tokens are others "
            f"(such as {'; '.join(self.examples)}), and at least {self.limit:.2%} must be the same. Ask a teacher with "
            "the student's tokenizer."
        )

    def summary(self) -> Summary:
        """Shares are left out where nothing was seen."""
        metrics: dict[str, float] = {"teacher_tokens_seen": self.tokens, "teacher_words_seen": self.words}
        if self.tokens:
            metrics["teacher_tokens_matched"] = self.tokens_matched / self.tokens
        if self.words:
            metrics["teacher_words_matched"] = self.words_matched / self.words
            metrics["teacher_mass_matched"] = self.mass_matched / self.mass
        facts: dict[str, JSON] = {"teacher_tokens_unmatched": [*self.examples]} if self.examples else {}
        return Summary({name: Metric.exact(value) for name, value in metrics.items()}, facts)
