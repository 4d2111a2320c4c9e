"""Which loss can be computed from which teacher signal, and how well: known from what a loss is registered with."""

from collections.abc import Mapping
from typing import Literal, get_args

from demiurgic.core.registry import Entry
from demiurgic.train.losses import LOSSES, Reads, reads_of
from demiurgic.train.signals import Signal

Support = Literal["exact", "coarse", "unbiased", "last layer"]

MEANINGS: Mapping[Support, str] = {
    "exact": "the loss itself: of the text, of the teacher's whole distribution, or of its hidden states",
    "coarse": (
        "a divergence of the coarsened distributions: K words, and one bucket for all others. Never larger than the "
        "true one, and blind to differences inside the bucket, so that its gradient is biased"
    ),
    "unbiased": "an estimate from words that were drawn; its gradient is right in expectation",
    "last layer": "exact for the final hidden states, which are all that the cache holds",
}

SIGNALS: tuple[Signal, ...] = get_args(Signal)


def support(loss: Entry, signal: Signal) -> Support | None:
    """How a loss is computed from a signal; None where it cannot be.

    A loss of labels reads the text alone, whatever the teacher gives.
    """
    of: Reads = reads_of(loss)
    match of, signal:
        case "labels", _:
            return "exact"
        case "distribution", "live" | "hidden":
            return "exact"
        case "distribution", "top_k" | "served":
            return "coarse"
        case "distribution", "samples":
            return "unbiased" if loss.facts.get("from_samples") else None
        case "hidden", "live":
            return "exact"
        case "hidden", "hidden":
            return "last layer"
        case _:
            return None


def losses_on(signal: Signal) -> list[str]:
    """The losses that ask a teacher and can be computed from this signal."""
    return [name for name, loss in LOSSES.entries().items() if reads_of(loss) != "labels" and support(loss, signal)]


def signals_for(loss: Entry) -> list[Signal]:
    return [signal for signal in SIGNALS if support(loss, signal)]


def table() -> list[list[str]]:
    """Loss by signal, headings first; a dash where a pair makes no sense."""
    rows = [[name, *(support(loss, signal) or "-" for signal in SIGNALS)] for name, loss in LOSSES.entries().items()]
    return [["", *SIGNALS], *rows]
