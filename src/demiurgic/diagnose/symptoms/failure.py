"""Trainings that stopped by themselves, and losses that jump."""

import re
from collections.abc import Iterator
from statistics import median

from demiurgic.diagnose.finding import Change, Finding, NotCheckedError
from demiurgic.diagnose.spread import long_enough, robust_spread, two_digits
from demiurgic.diagnose.training import Failure, Training

NON_FINITE = re.compile(r"\b(is|are) (nan|-?inf)\b")
"""How the training names a loss, a norm or a held-out loss that is no finite number."""
WARMUP_SHARE = 0.05
"""Of all steps, where a training had no warm-up: what the recipes that come with the package use, rounded up."""
SLOWER, FAR_SLOWER = 0.5, 0.1
"""Of the learning rate: one notch of the usual sweeps for a jump, far down for a training that broke."""
BEFORE = 20
"""Steps that a jump is measured against: enough for a median, few enough that the trend in them is small."""
JUMP_SPREADS = 10.0
"""Robust standard deviations above the median before it. Batches of unequal text reach 4 or 5 now and then; 10 is not
reached by chance in a training of any length."""
JUMP_SHARE = 0.25
"""A jump is also at least this much of the loss: where a curve is very smooth, 10 spreads are nothing."""


def failed(training: Training) -> Iterator[Finding]:
    """The training stopped with an error other than a number that is not finite."""
    failure = _failure(training)
    if failure is not None and not NON_FINITE.search(failure.reason):
        yield Finding(
            "failed",
            "wrong",
            f"it stopped: {failure.reason} ({_last_line(training)})",
            "nothing that depends on this step can run",
            "mend the cause; the same command then goes on from the last checkpoint",
            f"ledger line {failure.line}",
        )


def non_finite(training: Training) -> Iterator[Finding]:
    """A loss, a gradient or the held-out loss became nan or inf, which stops a training before its weights change."""
    failure = _failure(training)
    if failure is None or not NON_FINITE.search(failure.reason):
        return
    yield Finding(
        "non_finite",
        "wrong",
        f"it stopped: {failure.reason} ({_last_line(training)})",
        "such a step has no gradient; going on would lose the weights",
        "lower the learning rate and warm it up, clip gradients; then look at the rows of the windows that are named",
        f"ledger line {failure.line}; {training.log.cite(training.log.last_step)}",
        tuple(_gentler(training, FAR_SLOWER)),
    )


def spikes(training: Training) -> Iterator[Finding]:
    """Single steps whose loss jumps far out of what the steps before it spread over."""
    curve = long_enough(training.log.training_loss)
    above = [curve.values[n] - median(curve.values[n - BEFORE : n]) for n in range(BEFORE, len(curve))]
    bar = JUMP_SPREADS * robust_spread(above)
    jumps = [
        (curve.steps[n + BEFORE], size)
        for n, size in enumerate(above)
        if size > bar and size > JUMP_SHARE * abs(curve.values[n + BEFORE] - size)
    ]
    if not jumps:
        return
    step, size = max(jumps, key=lambda jump: jump[1])
    listed = ", ".join(str(step) for step, _ in jumps[:8]) + (", …" if len(jumps) > 8 else "")
    yield Finding(
        "spikes",
        "doubtful",
        f"{curve.name} jumps at {len(jumps)} of {len(curve)} steps ({listed}); the largest, at step {step}, is "
        f"{size:.3g} above the median of the {BEFORE} steps before it; {JUMP_SPREADS:g} spreads are {bar:.3g}",
        "a jump undoes what the steps before it learned, and may grow into a number that is not finite",
        "lower the learning rate or clip gradients, and look at the rows of these steps",
        training.log.cite(jumps[0][0], jumps[-1][0]),
        tuple(_gentler(training, SLOWER)),
    )


def _gentler(training: Training, factor: float) -> Iterator[Change]:
    """A lower rate; a warm-up and clipping where there are none."""
    if training.config is None:
        return
    config = training.config
    yield Change(("learning_rate",), two_digits(factor * config["learning_rate"]))
    if not config["warmup_steps"] and (config.get("steps") or 0) > 1:
        yield Change(("warmup_steps",), max(1, round(WARMUP_SHARE * config["steps"])))
    if config["gradient_clip"] is None:
        yield Change(("gradient_clip",), 1.0)


def _last_line(training: Training) -> str:
    if not training.log.steps:
        return "before the first step was logged"
    line = training.log.steps[-1]
    norm = f", gradient norm {line.gradient_norm:.4g}" if line.gradient_norm is not None else ""
    return f"last finite line: step {line.step}, total {line.total:.4g}{norm}, learning rate {line.learning_rate:.3g}"


def _failure(training: Training) -> Failure | None:
    """Raises NotCheckedError while it is running, and where no ledger could say that it failed."""
    training.refuse_running()
    if not training.finished and training.failure is None and not training.interrupted:
        raise NotCheckedError("no ledger says how it ended")
    return training.failure
