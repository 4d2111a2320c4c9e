"""What makes no sense among losses, teacher and on-policy text, seen when a recipe is read. Opens no file."""

from typing import Any

from demiurgic.core.artifacts import Artifact, Logits
from demiurgic.core.registry import Choice
from demiurgic.run.stage import Reference, keyed
from demiurgic.train.aims import Aims
from demiurgic.train.components import asked_of
from demiurgic.train.losses import needs_teacher, reads
from demiurgic.train.matrix import losses_on, signals_for, support
from demiurgic.train.scheduled import Number, moves, numbers_in
from demiurgic.train.signals import Signal
from demiurgic.train.teacher import signal_of

WORDS_OF: dict[Signal, str] = {
    "live": "a live teacher",
    "hidden": "cached hidden states",
    "top_k": "cached top-k words",
    "samples": "cached samples",
    "served": "a served teacher",
}


def problem_of_signals(aims: Aims) -> str | None:
    """The first thing that is wrong with losses, teacher and whose text they are asked of, or None."""
    for check in (_teacher, _sources, _pairs, _temperatures, _layers, _on_policy):
        problem = check(aims)
        if problem is not None:
            return problem
    return None


def problem_of_cached_tokens(teacher: Any, data: Any) -> str | None:
    """A cache that will be made of other tokens than those that are trained on, or None.

    Two steps of one config make the same tokens; from artifacts, digests tell when the cache is opened.
    """
    if not isinstance(teacher, Reference) or not issubclass(teacher.kind, Logits) or teacher.config is None:
        return None
    cached = getattr(teacher.config, "data", None)
    if not isinstance(cached, Reference) or not isinstance(data, Reference) or _made_of(cached) == _made_of(data):
        return None
    return (
        f"the cache {teacher} is made of the tokens {cached}, and data is {data}: the teacher's word is on other text "
        f"than the student reads; set data: {cached}, or make a cache with data: {data}"
    )


def _made_of(reference: Any) -> Any:
    """What a part is made of, down to the first steps; names of steps do not matter where configs are known."""
    if not isinstance(reference, Reference) or reference.config is None:
        return str(reference)
    return [type(reference.config).__name__, reference.part, keyed(reference.config, _made_of)]


def _teacher(aims: Aims) -> str | None:
    asking = [loss.name for loss in aims.losses if needs_teacher(loss)]
    if asking and aims.teacher is None:
        return f"the loss {asking[0]} needs a teacher; set teacher, or use only losses without one"
    if aims.teacher is not None and not asking:
        return "there is a teacher and no loss that asks it; add one such as forward_kl, or set teacher: null"
    if not any(max(numbers_in(loss.shared.weight)) for loss in aims.losses):
        return "every loss has weight 0, so there is nothing to train on; give one a positive weight"
    return None


def _sources(aims: Aims) -> str | None:
    """A loss that says on whose text it is asked, where there is no such text."""
    for name, loss in aims.named:
        if loss.shared.on == "student" and reads(loss) == "labels":
            return f"{name} reads labels, and what the student wrote is no label; take `on: student` away"
        if loss.shared.on == "student" and aims.on_policy is None:
            return f"{name} is asked of the student's text alone (on: student), and it writes none; set on_policy"
    return None


def _pairs(aims: Aims) -> str | None:
    """A loss that cannot be computed from the teacher's signal."""
    if aims.teacher is None:
        return None
    signal = signal_of(aims.teacher)
    for name, loss in aims.named:
        if support(loss.entry, signal) is None:
            return _no_pair(name, loss, signal)
    return None


def _no_pair(name: str, loss: Choice, signal: Signal) -> str:
    needs = "hidden states" if reads(loss) == "hidden" else "more of each prediction than words drawn from it"
    other = ", ".join(WORDS_OF[other] for other in signals_for(loss.entry))
    return (
        f"{name} reads {needs}, which this teacher ({WORDS_OF[signal]}) does not give. Losses for it: "
        f"{', '.join(losses_on(signal)) or 'none'}. Teachers for {loss.name}: {other}"
    )


def _temperatures(aims: Aims) -> str | None:
    """A temperature at which the signal says nothing."""
    known = _known_temperatures(aims.teacher)
    if known is None:
        return None
    has = f"{WORDS_OF[signal_of(aims.teacher)]} can be asked at {', '.join(f'{T:g}' for T in known)} alone"
    way_out = "use one of those, or take a live teacher or cached hidden states, which say all"
    for name, loss in aims.named:
        if reads(loss) != "distribution":
            continue
        wanted: Number = getattr(loss.options, "temperature", 1.0)
        if moves(wanted):
            return f"the temperature of {name} moves from step to step, and {has}; {way_out}"
        missing = [number for number in numbers_in(wanted) if number not in known]
        if missing:
            return f"{name} has temperature {missing[0]:g}, and {has}; {way_out}"
    return None


def _known_temperatures(teacher: Any) -> list[float] | None:
    """The temperatures that a signal was made for; None where it says all, or is not known yet."""
    if teacher is None or signal_of(teacher) in ("live", "hidden"):
        return None
    if signal_of(teacher) == "served":
        return [1.0]
    match teacher:
        case Reference(config=config):
            found = getattr(getattr(config, "keep", None), "temperatures", None)
        case Artifact():
            found = _in(_in(teacher.manifest.config, "keep"), "temperatures")
        case _:
            found = None
    return None if found is None else [float(temperature) for temperature in found]


def _in(mapping: Any, name: str) -> Any:
    return mapping.get(name) if isinstance(mapping, dict) else None


def _layers(aims: Aims) -> str | None:
    """A layer that a cache does not hold."""
    from demiurgic.models.layers import FINAL
    from demiurgic.train.hidden_loss import layers_of

    if aims.teacher is None or signal_of(aims.teacher) != "hidden":
        return None
    for name, loss in aims.named:
        if reads(loss) == "hidden" and layers_of(loss).teacher != FINAL:
            return (
                f"{name} reads layer {layers_of(loss).teacher} of the teacher, and a cache of hidden states holds the "
                "final one (-1); set teacher_layer: -1, or take a live teacher"
            )
    return None


def _on_policy(aims: Aims) -> str | None:
    """Text that the student writes, and nobody who could say anything of it."""
    if aims.on_policy is None:
        return None
    if not any(needs_teacher(loss) and asked_of(loss, "student") for loss in aims.losses):
        return (
            "on_policy lets the student write text, and no loss asks a teacher of it; add a divergence such as "
            "reverse_kl with a teacher, or set on_policy: null"
        )
    if signal_of(aims.teacher) in ("hidden", "top_k", "samples"):
        return (
            "on_policy asks the teacher of text that the student writes while it trains, which no cache holds; give "
            "the teacher itself, or set on_policy: null"
        )
    return None
