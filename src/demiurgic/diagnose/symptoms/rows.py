"""Too few rows for the steps, and text of the student's own that never ends."""

from collections.abc import Iterator

from demiurgic.diagnose.finding import Change, Finding, NotCheckedError
from demiurgic.diagnose.training import Training

MANY_EPOCHS = 4.0
"""Up to four passes, repeated rows teach nearly as much as new ones; what later passes add falls off fast (Muennighoff
et al. 2023, arXiv 2305.16264, section 6)."""


def repeated(training: Training) -> Iterator[Finding]:
    """Many passes over the same rows, and no held-out loss that still fell at the end."""
    if not training.log.steps or training.log.steps[-1].epoch is None:
        raise NotCheckedError("the log does not say how many passes were made")
    line, best = training.log.steps[-1], training.log.best
    epochs = line.epoch or 0.0
    if epochs <= MANY_EPOCHS or (best is not None and best == training.log.looks[-1]):
        return
    seen = f"the held-out loss was best after step {best.step}" if best else "no held-out loss says that they helped"
    yield Finding(
        "many_epochs",
        "doubtful",
        f"{line.step} steps are {epochs:.3g} passes over the same rows; {seen}",
        f"beyond about {MANY_EPOCHS:g} passes rows are learned by heart",
        f"train on more rows{'' if best else f', or make at most {MANY_EPOCHS:g} passes'}",
        training.log.cite(line.step),
        # where there are looks, they say when to stop, and `patience` does it
        () if best else tuple(_fewer(training, epochs)),
    )


def _fewer(training: Training, epochs: float) -> Iterator[Change]:
    config = training.config or {}
    if config.get("epochs") is not None:
        yield Change(("epochs",), MANY_EPOCHS)
    elif config.get("steps") is not None:
        steps = max(1, round(training.log.last_step * MANY_EPOCHS / epochs))
        if steps > config["warmup_steps"]:
            yield Change(("steps",), steps)
