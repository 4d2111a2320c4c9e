"""What a service told of some tokens, as the student's ids: the likeliest words, and all others as one.

Shapes: N supervised tokens, K words of each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.providers.scores import Place
from demiurgic.train.signals import TeacherTokens, TopK
from demiurgic.train.signals.agreement import Agreement
from demiurgic.train.signals.vocabulary import Spelling, Vocabulary

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from demiurgic.train.chunk import Workspace

MOST_MASS = 1.01
"""Of the likeliest words together: beyond it they are no probabilities. Servers that work in bf16 miss 1 by less."""
LEAST_REST = 2.0**-24
"""What is left for all other words, where rounding leaves nothing: the resolution of sums in fp32."""


@dataclass(frozen=True, slots=True)
class Row:
    """K distinct ids, filled up with ids of log-probability -inf, and what is left for all other words."""

    ids: tuple[int, ...]
    logs: tuple[float, ...]
    log_tail: float


def nothing(num_words: int) -> Row:
    """The row of a token of which nothing is known: all words are the tail's, of which every student says the same."""
    return Row(tuple(range(num_words)), (-math.inf,) * num_words, 0.0)


def row_of(
    place: Place | None, *, vocabulary: Vocabulary, spelling: Spelling, num_words: int, agreement: Agreement
) -> Row:
    """The words of a place that are surely tokens of the student. Of no place nothing is said: all is the tail's.

    A word that is told twice with two probabilities is not sure. Raises UserError where probabilities sum to more than
    1.
    """
    logs: dict[int, float] = {}
    unsure: set[int] = set()
    told = () if place is None else place.top[:num_words]
    for word in told:
        id = vocabulary.id_of(word, spelling=spelling)
        if id is None:
            continue
        if logs.setdefault(id, word.logprob) != word.logprob:
            unsure.add(id)
    known = {id: log for id, log in logs.items() if id not in unsure}
    mass = math.fsum(map(math.exp, known.values()))
    if mass > MOST_MASS:
        raise UserError(
            f"The teacher's likeliest words have a probability of {mass:.3f} together, which is more than 1. Ask a "
            "service that tells log-probabilities at temperature 1, in nats."
        )
    agreement.count_words(
        num=len(told),
        num_matched=len(known),
        mass=math.fsum(math.exp(word.logprob) for word in told),
        mass_matched=mass,
    )
    return _filled(known, mass, num_words=num_words, vocab_size=vocabulary.size)


def _filled(known: dict[int, float], mass: float, *, num_words: int, vocab_size: int) -> Row:
    rest = -math.inf if len(known) == vocab_size else min(0.0, math.log(max(1.0 - mass, LEAST_REST)))
    others = islice((id for id in count() if id not in known), num_words - len(known))
    filling = [*others]
    return Row((*known, *filling), (*known.values(), *[-math.inf] * len(filling)), rest)


@dataclass(frozen=True)
class ToldTokens:
    """Rows as tensors; at temperature 1 alone, for nobody tells what the tail holds at another."""

    ids_NK: "Tensor"
    log_NK: "Tensor"
    log_tail_N: "Tensor"

    @classmethod
    def of(cls, rows: Sequence[Row], *, num_words: int, device: "torch.device") -> "ToldTokens":
        import torch

        shape = (len(rows), num_words)
        return cls(
            torch.tensor([row.ids for row in rows], dtype=torch.int64).reshape(shape).to(device),
            torch.tensor([row.logs for row in rows], dtype=torch.float32).reshape(shape).to(device),
            torch.tensor([row.log_tail for row in rows], dtype=torch.float32).to(device),
        )

    def chunk(self, tokens: slice, workspace: "Workspace") -> TopK:
        del workspace
        return TopK(self.ids_NK[tokens], self.log_NK[tokens], {1.0: self.log_tail_N[tokens]})

    def select(self, index_S: "Tensor") -> TeacherTokens:
        return replace(
            self, ids_NK=self.ids_NK[index_S], log_NK=self.log_NK[index_S], log_tail_N=self.log_tail_N[index_S]
        )

    def hidden(self, layer: int) -> "Tensor":
        raise UserError(
            f"A served teacher tells words, and no hidden states (layer {layer}). Use a live teacher or a cache that "
            "keeps hidden, or losses of words alone."
        )
