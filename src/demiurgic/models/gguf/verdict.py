"""What was found of a GGUF beside its source, and which of it is beyond the limit. Measures nothing itself."""

from dataclasses import dataclass

from demiurgic.core.metric import Metric
from demiurgic.models.compare import Divergence
from demiurgic.models.gguf.header import HeaderCheck
from demiurgic.models.gguf.limits import MAX_SHARE_OF_EFFECT, MIN_TOP1, Limit
from demiurgic.models.gguf.tokenization import TokenCheck
from demiurgic.models.gguf.weights import WeightCheck


@dataclass(frozen=True, slots=True)
class GreedyCheck:
    """Of so many prompts, how many went on alike for all tokens, and how many up to a tie in the source."""

    prompts: int
    equal: int
    tied: int

    @property
    def share(self) -> float:
        return (self.equal + self.tied) / self.prompts


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one file."""

    tokens: TokenCheck
    kl: Metric
    """Mean KL(source ‖ file) in nats per token; the interval is over texts, n is their number."""
    divergence: Divergence
    clear_disagreements: int
    """Positions with another likeliest token where the source has no tie."""
    greedy: GreedyCheck
    header: HeaderCheck
    """The file's own fields beside the config's; of an adapter, those of its base's file."""
    weights: WeightCheck | None = None
    """The file's tensors beside the source's; not of an adapter."""
    running_kl: float | None = None
    """Mean KL(source with the file's own weights ‖ file): what all but the weights makes; not of an adapter."""
    far_kl: float | None = None
    """As `running_kl`, of texts whose first half is read from far away (of an adapter, without exchanged weights);
    None where no text fits into the context with a gap."""
    effect_kl: float | None = None
    """Of an adapter: mean KL(base with adapter ‖ base), all that the adapter does."""

    @property
    def clear_top1(self) -> float:
        """How often both find the same token likeliest, ties counted as the same."""
        return 1 - self.clear_disagreements / self.divergence.positions

    def misses(self, limit: Limit) -> list[str]:
        """What is beyond the limit, a sentence each; empty for a file that is its source."""
        found = []
        if self.tokens.mismatches > limit.max_token_mismatches:
            found.append(
                f"{self.tokens.mismatches} of {self.tokens.texts} texts have other token ids, wanted "
                f"{limit.max_token_mismatches or 'none'}; the first: {self.tokens.first}"
            )
        if self.header.miss:
            found.append(self.header.miss)
        if self.loses_too_much(limit):
            found.append(f"mean KL to the source is {self.divergence.mean_kl:.2e}, wanted at most {limit.max_kl:.0e}")
        if self.running_kl is not None and not self.running_kl <= limit.max_running_kl:
            found.append(
                f"the source with the file's own weights is {self.running_kl:.2e} away, wanted at most "
                f"{limit.max_running_kl:.0e}: something other than the rounding of weights is different, such as rope "
                "or epsilon"
            )
        if self.far_kl is not None and not self.far_kl <= limit.max_far_kl:
            found.append(
                f"text that is read from far away is {self.far_kl:.2e} off, wanted at most {limit.max_far_kl:.0e}: its "
                "rotary positions are not the source's beyond short distances"
            )
        if self.weights is not None and self.weights.miss:
            found.append(self.weights.miss)
        if limit.exact and self.clear_top1 < MIN_TOP1:
            found.append(f"the likeliest token is the source's at {self.clear_top1:.2%}, wanted {MIN_TOP1:.1%}")
        if limit.exact and self.greedy.share < 1:
            alike = self.greedy.equal + self.greedy.tied
            found.append(f"{alike} of {self.greedy.prompts} greedy continuations are the source's, wanted all")
        return found + self._adapter_misses()

    def loses_too_much(self, limit: Limit) -> bool:
        """Whether the KL to the source is beyond the limit, which is what a type is chosen by."""
        return not self.divergence.mean_kl <= limit.max_kl

    @property
    def share_of_effect(self) -> float | None:
        """Of an adapter: how much of what it does the file misses."""
        if self.effect_kl is None:
            return None
        return self.divergence.mean_kl / self.effect_kl if self.effect_kl else float("inf")

    def _adapter_misses(self) -> list[str]:
        if self.effect_kl is None or self.share_of_effect is None:
            return []
        if self.effect_kl == 0:
            return ["the adapter changes nothing: it is untrained, so there is nothing to prove or to export"]
        if self.share_of_effect <= MAX_SHARE_OF_EFFECT:
            return []
        return [
            f"the file misses {self.share_of_effect:.1%} of the adapter's effect ({self.effect_kl:.2e} nats), wanted "
            f"at most {MAX_SHARE_OF_EFFECT:.0%}"
        ]
