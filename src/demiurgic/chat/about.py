"""What answers: how large it is, where it comes from, what it learned from, and what it cannot do.

Everything said here is read from the artifact's manifest and the opened weights; of a file from elsewhere nothing is
claimed. Knows no terminal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demiurgic.chat.suggestions import Suggestion, suggestions_for
from demiurgic.core.artifacts import Artifact, Manifest
from demiurgic.core.metric import JSON
from demiurgic.providers.base import Sampling
from demiurgic.providers.weights import LocalProvider

ENGINES = {"llama_cpp": "llama.cpp"}
"""Engines that are called otherwise than their provider."""
SMALL = 50_000_000
"""Parameters below which no model holds a conversation, whatever it was trained on."""
LEARNS_FROM: Mapping[str, tuple[str, ...]] = {
    "curate": ("data",),
    "mix": ("data",),
    "generate": ("prompts",),
    "tokenize": ("data",),
    "train": ("data", "model"),
    "merge": ("base", "adapter"),
    "export": ("model", "base"),
    "fetch": ("base",),
}
"""Stage -> the fields whose rows or weights go into what it makes. Not what only measures it (held_out, the data of an
export's check), sets its length (match_seconds) or cuts its words (tokenizer); a teacher is named and not followed."""


@dataclass(frozen=True)
class Answering:
    """An opened model under the name a person calls it."""

    label: str
    artifact: Artifact | None
    """What the store knows of it; None for a file or folder from elsewhere."""
    provider: LocalProvider
    rejected: str | None = None
    """The gates that it missed when they were judged last."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a model learned from, as far as the lineage in its manifest tells."""

    sources: Mapping[str, int]
    """Source -> rows collected from it."""
    kinds: Mapping[str, int]
    """Kinds of question among those rows, where a source names them."""
    teachers: tuple[str, ...]
    """Steps that were its teacher, with the start of their key."""
    from_blank: bool
    """Trained from random weights, on no other model's."""


def origin_of(manifest: Manifest) -> Origin:
    """Walk from a model to the steps whose rows it was trained on; the teacher's own training is not followed."""
    steps: dict[str, Any] = dict(manifest.lineage)
    taught = {key: steps[key] for key in _taught_by(manifest, steps)}
    sources: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for step in taught.values():
        facts = step["summary"]["facts"]
        if step["stage"] == "collect":
            _add(sources, facts.get("sources", {}))
            _add(kinds, facts.get("kinds", {}))
    stages = {step["stage"] for step in taught.values()}
    inputs = [manifest.inputs, *(step["inputs"] for step in taught.values())]
    teachers = {f"{found['step']} ({found['key'][:8]})" for given in inputs for found in _teachers(given, steps)}
    return Origin(sources, kinds, tuple(sorted(teachers)), "create" in stages and "fetch" not in stages)


def is_completer(answering: Answering) -> bool:
    """Whether a model is too small, or was taught too narrowly from random weights, to hold a conversation."""
    if answering.provider.num_parameters < SMALL:
        return True
    if answering.artifact is None:
        return False
    origin = origin_of(answering.artifact.manifest)
    return origin.from_blank and len(origin.sources) == 1


def suggestions_of(answering: Answering) -> tuple[Suggestion, ...]:
    """What to try first: only for a small model that learned from the standard library's code."""
    if answering.artifact is None or not is_completer(answering):
        return ()
    origin = origin_of(answering.artifact.manifest)
    return suggestions_for(origin.kinds) if "python_stdlib" in origin.sources else ()


def writes_python(answering: Answering) -> bool:
    """Whether its answers are bare Python code, without Markdown around it."""
    return bool(suggestions_of(answering))


def starting_sampling(answering: Answering) -> Sampling:
    """How answers are drawn where the person says nothing: the provider's own way, but for a small completer.

    Such a model seldom ends by itself and repeats its likeliest word for ever: 0.5 and 200 tokens keep it short.
    """
    return Sampling(max_tokens=200, temperature=0.5) if is_completer(answering) else Sampling()


def facts_of(answering: Answering) -> list[str]:
    """The lines of the first screen about the model: size, engine, origin, training."""
    provider = answering.provider
    lines = [
        f"{_parameters(provider.num_parameters)} parameters, context {provider.context_length:,} tokens, "
        f"runs in {ENGINES.get(provider.engine, provider.engine)}"
    ]
    if answering.artifact is None:
        return [*lines, "from elsewhere: nothing is proven about this file"]
    manifest = answering.artifact.manifest
    lines.append(f"made here by the step {manifest.step} ({manifest.stage}, key {manifest.key})")
    origin = origin_of(manifest)
    if origin.sources:
        rows = ", ".join(f"{source} ({count:,} rows collected)" for source, count in sorted(origin.sources.items()))
        lines.append(f"learned from {rows}")
    if origin.teachers:
        lines.append(f"taught by {', '.join(origin.teachers)}")
    return lines


def warning_of(answering: Answering) -> str | None:
    """What a person must know before asking anything; None where there is nothing to warn of."""
    said = [text for text in (rejection_of(answering), _small(answering)) if text]
    return " ".join(said) or None


def rejection_of(answering: Answering) -> str | None:
    """That it missed its gates, and which; None where it did not."""
    return f"It was rejected: {answering.rejected}." if answering.rejected else None


def _small(answering: Answering) -> str | None:
    if not is_completer(answering):
        return None
    cannot = "it does not know facts and cannot hold a conversation."
    if writes_python(answering):
        return f"This small model writes Python-shaped text; {cannot}"
    return f"This is a small text completer: it goes on from what you write; {cannot}"


def _taught_by(manifest: Manifest, steps: Mapping[str, Any]) -> set[str]:
    waiting = _learned_from(manifest.stage, manifest.inputs)
    reached: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key not in reached and key in steps:
            reached.add(key)
            waiting += _learned_from(steps[key]["stage"], steps[key]["inputs"])
    return reached


def _learned_from(stage: str, inputs: Mapping[str, Any]) -> list[str]:
    """Keys of the steps that went into what a step made."""
    return [found["key"] for field, found in inputs.items() if _root(field) in LEARNS_FROM.get(stage, ())]


def _teachers(inputs: Mapping[str, Any], steps: Mapping[str, Any]) -> list[dict[str, str]]:
    """Who taught; for a cache of a model's word that model."""
    named = [found for field, found in inputs.items() if _root(field) == "teacher"]
    cached = [step["inputs"] for step in (steps.get(found["key"]) for found in named) if step and _is_cache(step)]
    kept = [found for given in cached for found in _teachers(given, steps)]
    return kept or named


def _is_cache(step: Mapping[str, Any]) -> bool:
    return bool(step["stage"] == "cache_logits")


def _root(field: str) -> str:
    return field.partition(".")[0]


def _add(counts: dict[str, int], more: Mapping[str, JSON]) -> None:
    for name, count in more.items():
        if isinstance(count, int):
            counts[name] = counts.get(name, 0) + count


def _parameters(count: int) -> str:
    for unit, name in ((10**9, "B"), (10**6, "M")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:,}"
