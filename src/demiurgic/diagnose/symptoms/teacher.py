"""A teacher that cannot teach: worse than its student, or read through a cache that cannot say what it is asked."""

from collections.abc import Iterator
from typing import Any

from demiurgic.diagnose.finding import Finding, NotCheckedError
from demiurgic.diagnose.spread import percent
from demiurgic.diagnose.training import Training

CLEARLY_WORSE = 0.01
"""Of the student's loss, on the same windows."""
SOFT = 2.0
"""A temperature from which a top-k cache is doubtful: at T = 2 a probability of 1 in 10,000 weighs as 1 in 100 did, and
the words that the cache has put into one bucket are most of what a soft target has to say."""


def worse(training: Training) -> Iterator[Finding]:
    """On the held-out windows the teacher's own loss is above its student's."""
    if training.config is not None and training.config.get("teacher") is None:
        raise NotCheckedError("there is no teacher")
    looks = training.looks(1)
    logged = next((look.teacher_nats for look in looks if look.teacher_nats is not None), None)
    nats = logged if logged is not None else training.metric("teacher_held_out_loss")
    if nats is None:
        raise NotCheckedError("the teacher's own held-out loss was not measured")
    best = training.log.best
    assert best is not None
    if nats <= best.nats:
        return
    above = nats / best.nats - 1
    yield Finding(
        "teacher_worse",
        "wrong" if above > CLEARLY_WORSE else "doubtful",
        f"on the held-out windows the teacher's loss is {nats:.4g} nats per token, {percent(above)} above the "
        f"student's {best.nats:.4g} after step {best.step}",
        "the student is held to predictions that are worse than its own",
        "train the teacher on these rows first, take another, or give cross_entropy the larger weight",
        training.log.cite(best.step),
    )


def soft_top_k(training: Training) -> Iterator[Finding]:
    """A loss of high temperature reads a cache of the likeliest words only."""
    cache: Any = training.settings.get("teacher")
    if not isinstance(cache, dict) or cache.get("part") != "top_k":
        raise NotCheckedError("the teacher is no top-k cache")
    for position, loss in enumerate(training.settings["losses"]):
        temperature = loss.get("temperature")
        if isinstance(temperature, int | float) and temperature >= SOFT:
            yield Finding(
                "soft_top_k",
                "doubtful",
                f"losses.{position} ({loss['use']}) has temperature {temperature:g} on a top-k cache{_kept(training)}",
                "the words behind the first k are one bucket there, and a high temperature moves the weight to them",
                "keep hidden states in cache_logits, use a live teacher, or a lower temperature",
                f"the config of {training.name}, losses.{position}.temperature",
            )


def _kept(training: Training) -> str:
    kept = training.teacher.get("kept_mass")
    return f", whose words hold {percent(kept)} of the probability at temperature 1" if kept is not None else ""
