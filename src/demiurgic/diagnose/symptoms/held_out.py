"""What the held-out windows say: a gap that opens, a best checkpoint at the edge, or nothing since nobody looked."""

from collections.abc import Iterator

from demiurgic.diagnose.finding import Change, Finding, NotCheckedError
from demiurgic.diagnose.spread import change, percent, shown, two_digits
from demiurgic.diagnose.training import Training

GAP = 0.02
"""Of the best held-out loss. The windows are the same at every look, so that sampling is no noise; steps of a constant
rate still move it by up to a hundredth back and forth."""
WRONG_GAP = 0.1
"""A rise of a tenth is several times what distillation gains over plain training: most of the training was harmful."""
LOOKS_AFTER = 2
"""Looks behind the best one that must all be worse, so that a single odd look is not a gap."""
PATIENCE = 3
"""Looks without a new best after which to stop: one more than make a gap."""
STILL_FALLING = 0.5
"""The held-out loss falls, per step between the last two looks, by this share of its mean pace before: a training that
has come to rest falls by a tenth of it or less."""
WORTH_MORE = 0.01
"""And by this share of itself: less is not worth a longer training."""
LOOKS_PER_TRAINING = 10
"""Where looks are too far apart: enough to see a curve, and cheap."""


def gap(training: Training) -> Iterator[Finding]:
    """The held-out loss rises from its best while the training loss goes on falling."""
    looks, best = training.looks(1 + LOOKS_AFTER), training.log.best
    assert best is not None
    after = [look for look in looks if look.step > best.step]
    last = looks[-1]
    rise = last.nats / best.nats - 1
    if len(after) < LOOKS_AFTER or min(look.nats for look in after[-LOOKS_AFTER:]) <= best.nats * (1 + GAP):
        return
    before = max((look.step for look in looks if look.step < best.step), default=0)
    curve = training.log.training_loss
    fell = change(curve.within(before + 1, best.step), curve.within(after[-LOOKS_AFTER].step + 1, last.step))
    if fell.high >= 0:
        return
    yield Finding(
        "train_eval_gap",
        "wrong" if rise > WRONG_GAP else "doubtful",
        f"the held-out loss rises by {percent(rise)}, from {best.nats:.4g} after step {best.step} to {last.nats:.4g} "
        f"after step {last.step}, while {curve.name} changes by {shown(fell)} in training",
        f"since step {best.step} the student learns its rows by heart; the weights of step {best.step} are the ones "
        "kept, and the steps after it were in vain",
        "stop early, or train on more rows",
        training.log.cite(best.step, last.step),
        tuple(_patient(training)),
    )


def _patient(training: Training) -> Iterator[Change]:
    if training.config is not None and training.config.get("patience") is None:
        yield Change(("patience",), PATIENCE)


def not_looked_at(training: Training) -> Iterator[Finding]:
    """Nothing, or one look at the very end, says how the student does on rows it is not trained on."""
    looks, config = training.log.looks, training.config
    if len(looks) > 1:
        return
    if not training.log.steps or (not training.finished and (config is None or config.get("held_out") is not None)):
        raise NotCheckedError("the training is not finished")
    if looks and looks[0].step < training.log.last_step:
        return
    found = f"was looked at once, after the last step, {looks[0].step}" if looks else "was never looked at"
    absent = config is not None and config.get("held_out") is None
    yield Finding(
        "held_out_not_looked_at",
        "doubtful",
        f"held-out text {found}" + ("; held_out is not set" if absent else ""),
        "the last weights are kept whatever they are, and learning by heart cannot be seen",
        "give held_out other rows than those trained on" if absent else "look more often: set evaluate_every",
        training.log.cite(1, training.log.last_step),
        () if absent else tuple(_more_looks(training, training.log.last_step)),
    )


def best_is_last(training: Training) -> Iterator[Finding]:
    """The last look is the best, and the loss was still falling as fast as before."""
    looks = training.looks(3)
    if not training.finished:
        raise NotCheckedError("the training is not finished")
    first, before, last = looks[0], looks[-2], looks[-1]
    fall = (before.nats - last.nats) / before.nats
    pace = (before.nats - last.nats) / (last.step - before.step)
    pace_before = (first.nats - before.nats) / (before.step - first.step)
    if training.log.best != last or fall < WORTH_MORE or pace < STILL_FALLING * pace_before:
        return
    of_before = f", {percent(pace / pace_before)} of the pace before" if pace_before > 0 else ""
    yield Finding(
        "best_is_last",
        "doubtful",
        f"the last look, after step {last.step}, is the best ({last.nats:.4g}), and the held-out loss still fell by "
        f"{percent(fall)} since step {before.step}: {pace:.2g} a step{of_before}",
        "a longer training would have made a better student",
        "train longer",
        training.log.cite(before.step, last.step),
        tuple(_longer(training)),
    )


def best_is_first(training: Training) -> Iterator[Finding]:
    """The first look is the best: it got worse before anybody looked."""
    looks = training.looks(3)
    first = looks[0]
    if training.log.best != first or min(look.nats for look in looks[1:]) <= first.nats * (1 + GAP):
        return
    yield Finding(
        "best_is_first",
        "doubtful",
        f"the first look, after step {first.step}, is the best of {len(looks)}: {first.nats:.4g}, then "
        f"{looks[1].nats:.4g} after step {looks[1].step} and {looks[-1].nats:.4g} after step {looks[-1].step}",
        "the best weights lie before that step, where nobody looked; or the rate is too high from the start",
        "look more often, and lower the learning rate",
        training.log.cite(first.step, looks[-1].step),
        (*_more_looks(training, first.step), *_slower(training)),
    )


def _more_looks(training: Training, steps: int) -> Iterator[Change]:
    if training.config is not None:
        yield Change(("evaluate_every",), max(1, steps // LOOKS_PER_TRAINING))


def _slower(training: Training) -> Iterator[Change]:
    if training.config is not None:
        yield Change(("learning_rate",), two_digits(training.config["learning_rate"] / 2))


def _longer(training: Training) -> Iterator[Change]:
    config = training.config or {}
    for name in ("steps", "epochs"):
        if config.get(name) is not None:
            yield Change((name,), 2 * config[name])
