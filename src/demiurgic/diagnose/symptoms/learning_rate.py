"""A learning rate that was never reached, starts too fast, is too high, or does nothing."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean, median

from demiurgic.diagnose.finding import Change, Finding, NotCheckedError
from demiurgic.diagnose.log import Curve
from demiurgic.diagnose.spread import change, long_enough, mean_of, percent, robust_spread, shown, two_digits
from demiurgic.diagnose.training import Training
from demiurgic.stats.intervals import share
from demiurgic.train.budget import MEASURED_STEPS

REACHED = 0.999
"""Of the rate that was asked for; the rest is rounding."""
WARMUP_SHARE = 0.05
"""Of all steps: what is set where a warm-up is missing or too long."""
LONG_WARMUP = 0.5
"""Of all steps. The usual warm-ups are a twentieth or less; past a half the training is mostly ramp."""
EARLY_SHARE, EARLY_STEPS = 0.1, 5
"""Where a start without warm-up shows: the first tenth of the steps, in means of 5 of them."""
EARLY_SPREADS = 4.0
"""Standard deviations of a mean of 5 steps above the loss before the first update."""
CLIPPED = 0.9
"""Share of steps (the low end of its interval) at which the gradient was cut: it is no longer outliers that are cut."""
CLIPPED_NORMS = 3.0
"""And the median norm is this many times the bound. AdamW does not see the size of a constant cut; it sees that long
gradients and short ones are made equal, which begins to matter where the usual one is cut to a third."""
RISING = 0.02
"""Of the loss, from the second quarter to the last, or from before the first update to the mean of the first quarter;
with the interval clear of it."""
FLAT = 0.01
"""Of the loss, from the first tenth to the last quarter: the whole interval of the change lies within, and it is
no fall."""
SEEN = 1e-3
"""Of a held-out loss. The windows are the same at every look, so that a fall by this much was learned."""
FASTER, SLOWER = 10.0, 0.5
"""A decade up where nothing moves at all; one notch of the usual sweeps down where it moves too much."""


def warmup(training: Training) -> Iterator[Finding]:
    """The warm-up was longer than the training, or most of it."""
    training.refuse_running()
    if not training.log.steps:
        raise NotCheckedError("the log has no step")
    if (training.config is None and _always_rising(training)) or _inside(training):
        yield _never_reached(training)
    elif training.config is not None and training.finished:
        steps, warmup_steps = training.log.last_step, training.config["warmup_steps"]
        if warmup_steps > LONG_WARMUP * steps:
            found = f"the warm-up takes {warmup_steps} of {steps} steps"
            yield _warmup(training, "doubtful", found, "most of the training runs below its learning rate")


def _inside(training: Training) -> bool:
    """Whether the last step was still in the warm-up."""
    if training.config is None:
        return False
    wanted, last = training.config["learning_rate"], training.log.last_step
    stopped = training.failure is not None  # what stopped it is the finding then
    return bool(
        not stopped and training.peak_learning_rate < REACHED * wanted and last < training.config["warmup_steps"]
    )


def _always_rising(training: Training) -> bool:
    rates = [line.learning_rate for line in training.log.steps]
    return len(rates) > 2 and all(a < b for a, b in pairwise(rates))


def _never_reached(training: Training) -> Finding:
    last, peak = training.log.last_step, training.peak_learning_rate
    config = training.config or {}
    of = f"; {config['learning_rate']:.3g} wants {config['warmup_steps']} steps" if config else ""
    ended = "the training ended" if training.finished else "the training stopped"
    found = f"{ended} inside its warm-up: at step {last} the learning rate had risen to {peak:.3g}, and never fell{of}"
    severity = "wrong" if training.finished else "doubtful"
    return _warmup(training, severity, found, "the student never trained at the rate that was asked for")


def _warmup(training: Training, severity: str, found: str, why: str) -> Finding:
    return Finding(
        "never_warmed",
        "wrong" if severity == "wrong" else "doubtful",
        found,
        why,
        "set fewer warmup_steps, or train longer",
        training.log.cite(1, training.log.last_step),
        tuple(_shorter_warmup(training)),
    )


def _shorter_warmup(training: Training) -> Iterator[Change]:
    config, steps = training.config, training.num_steps
    if config is None or steps is None:
        return
    fewest = MEASURED_STEPS if config.get("match_seconds") is not None else 0
    wanted = max(fewest, round(WARMUP_SHARE * steps))
    if wanted < config["warmup_steps"]:
        yield Change(("warmup_steps",), wanted)


def cold_start(training: Training) -> Iterator[Finding]:
    """Without a warm-up, the loss of the first steps rises above that of the weights it started from."""
    if training.settings["warmup_steps"]:
        return
    curve, steps = long_enough(training.log.training_loss), training.num_steps
    if curve.steps[0] != 1:
        raise NotCheckedError(f"{curve.name} is not known before the first update")
    early = curve.share(0, EARLY_SHARE) if len(curve) >= 2 * EARLY_STEPS / EARLY_SHARE else curve.within(1, 10)
    means = [(early.steps[n], fmean(early.values[n : n + EARLY_STEPS])) for n in range(1, len(early) - EARLY_STEPS + 1)]
    spread = _step_spread(curve)
    start = curve.values[0]
    step, worst = max(means, key=lambda mean: mean[1])
    # of the mean and of the one step it is held against
    noise = spread * (1 + 1 / EARLY_STEPS) ** 0.5
    if worst - start <= max(EARLY_SPREADS * noise, RISING * abs(start)):
        return
    changes = (Change(("warmup_steps",), max(1, round(WARMUP_SHARE * steps))),) if steps is not None else ()
    yield Finding(
        "no_warmup",
        "doubtful",
        f"there is no warm-up, and {curve.name} rises from {start:.4g} before the first update to a mean of "
        f"{worst:.4g} over steps {step} to {step + EARLY_STEPS - 1}, {(worst - start) / noise:.1f} standard deviations",
        "the first updates, whose sizes AdamW cannot know yet, throw the start weights away",
        "warm the learning rate up",
        training.log.cite(1, step + EARLY_STEPS - 1),
        changes,
    )


def _step_spread(curve: Curve) -> float:
    """How far one step lies from the next for no reason but its batch: of the second half, where trends are small."""
    values = curve.values[len(curve) // 2 :]
    return robust_spread([b - a for a, b in pairwise(values)]) / 2**0.5


def too_high(training: Training) -> Iterator[Finding]:
    """The training loss rises, or is thrown far above where it began."""
    curve = long_enough(training.log.training_loss)
    before, after = curve.share(0.25, 0.5), curve.share(0.75, 1)
    rose, size = change(before, after), abs(fmean(before.values))
    if (above := _above_start(training, curve)) is not None:
        yield above
    elif rose.low > 0 and rose.value > RISING * size:
        yield Finding(
            "learning_rate_too_high",
            "wrong",
            f"{curve.name} rises by {shown(rose)} from steps {before.steps[0]}-{before.steps[-1]} (mean {size:.4g}) to "
            f"steps {after.steps[0]}-{after.steps[-1]}",
            "the student forgets faster than it learns",
            "lower the learning rate",
            training.log.cite(before.steps[0], after.steps[-1]),
            tuple(_rate(training, SLOWER)),
        )


def _above_start(training: Training, curve: Curve) -> Finding | None:
    """The training was worse than no training for a quarter of its steps, whatever it came to later."""
    start, early = curve.values[0], curve.share(0, 0.25)
    mean = mean_of(early.values[1:])
    if curve.steps[0] != 1 or mean.low <= start + max(RISING * abs(start), EARLY_SPREADS * _step_spread(curve)):
        return None
    return Finding(
        "learning_rate_too_high",
        "wrong",
        f"{curve.name} is {start:.4g} before the first update, and {shown(mean)} on average over steps "
        f"{early.steps[1]}-{early.steps[-1]}, at a learning rate of up to {training.peak_learning_rate:.3g}",
        "the start weights were lost, and the rest of the training makes good for it",
        "lower the learning rate",
        training.log.cite(1, early.steps[-1]),
        tuple(_rate(training, SLOWER)),
    )


def clipped(training: Training) -> Iterator[Finding]:
    """Nearly every gradient is cut, and far."""
    limit = training.settings["gradient_clip"]
    norms = training.log.curve("gradient norm", lambda line: line.gradient_norm)
    norms = norms.within(1 + training.settings["warmup_steps"], training.log.last_step)
    if limit is None:
        raise NotCheckedError("gradients are not clipped")
    long_enough(norms)
    cut = share(sum(norm > limit for norm in norms.values), len(norms))
    middle = median(norms.values)
    if cut.low > CLIPPED and middle > CLIPPED_NORMS * limit:
        yield Finding(
            "clipped_at_every_step",
            "doubtful",
            f"{percent(cut.value)} [{percent(cut.low)}, {percent(cut.high)}] of {len(norms)} gradients were cut to the "
            f"norm {limit:g}; half of them are longer than {middle:.4g}",
            "clipping is for outliers; where it cuts everything, batches that say much count as little as those that "
            "say nothing",
            "raise gradient_clip above the usual norm",
            training.log.cite(norms.steps[0], norms.steps[-1]),
            (Change(("gradient_clip",), two_digits(2 * middle)),),
        )


def too_low(training: Training) -> Iterator[Finding]:
    """The training loss is where it began, and no held-out loss says that anything was learned."""
    if training.config is not None and training.peak_learning_rate < REACHED * training.config["learning_rate"]:
        raise NotCheckedError("the learning rate that was asked for was never reached")
    curve = long_enough(training.log.training_loss)
    # the first tenth of a short curve is too few steps for a mean
    before, after = curve.share(0, max(0.1, 10 / len(curve))), curve.share(0.75, 1)
    moved, size = change(before, after), abs(fmean(before.values))
    if moved.high >= 0 and max(abs(moved.low), abs(moved.high)) < FLAT * size and not _held_out_falls(training):
        yield Finding(
            "learning_rate_too_low",
            "doubtful",
            f"{curve.name} changes by {shown(moved)} from steps {before.steps[0]}-{before.steps[-1]} (mean {size:.4g}) "
            f"to steps {after.steps[0]}-{after.steps[-1]}, at a learning rate of at most "
            f"{training.peak_learning_rate:.3g}",
            "nothing that shows in the loss was learned in all of these steps",
            "raise the learning rate",
            training.log.cite(before.steps[0], after.steps[-1]),
            tuple(_rate(training, FASTER)),
        )


def _held_out_falls(training: Training) -> bool:
    """Whether the best look is below the first by more than rounding moves them."""
    looks = training.log.looks
    return bool(looks) and looks[0].nats - min(look.nats for look in looks) > SEEN * abs(looks[0].nats)


def _rate(training: Training, factor: float) -> Iterator[Change]:
    if training.config is not None:
        yield Change(("learning_rate",), two_digits(factor * training.config["learning_rate"]))
