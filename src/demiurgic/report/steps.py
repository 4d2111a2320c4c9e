"""Steps and runs on a terminal and as JSON. Knows manifests and outcomes, not how they came about."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from demiurgic.core.artifacts import Manifest
from demiurgic.core.console import duration, size
from demiurgic.core.metric import JSON
from demiurgic.report.results import print_results
from demiurgic.run.garbage import folder_bytes
from demiurgic.run.runner import Outcome

SCORES = "scores"
LISTED = 24
"""Lines that one fact with facts inside may take."""


def outcomes_json(outcomes: Sequence[Outcome]) -> JSON:
    """One object per step: status, key, seconds, peak memory, gates and summary."""
    return {
        outcome.step: {
            "status": outcome.status,
            "key": outcome.key,
            "folder": str(outcome.folder) if outcome.folder else None,
            "seconds": round(outcome.seconds, 3),
            "peak_memory_bytes": outcome.peak_memory_bytes,
            "gates": [verdict.to_json() for verdict in outcome.verdicts],
            "why": outcome.why,
            "summary": outcome.manifest.summary.to_json() if outcome.manifest else None,
        }
        for outcome in outcomes
    }


def print_outcomes(outcomes: Sequence[Outcome], *, store: Path) -> None:
    """The results of the run's evaluations, what it took, and the next line to type."""
    evaluations = [outcome for outcome in outcomes if outcome.manifest and SCORES in outcome.manifest.parts]
    for outcome in evaluations:
        assert outcome.manifest is not None
        print()
        print_results(outcome.manifest)
    counts = Counter(outcome.status for outcome in outcomes)
    print("\n" + ", ".join(f"{count} {status}" for status, count in counts.items()) + _took(outcomes))
    for outcome in outcomes:
        if outcome.status in ("rejected", "blocked"):
            print(f"{outcome.step}: {outcome.status}: {outcome.why}")
    flag = "" if store == Path("store") else f" --store {store}"
    shown = [outcome for outcome in evaluations or outcomes if outcome.manifest]
    if shown:
        print(f"Next: demiurgic show {_quoted(shown[-1].step)}{flag}      (or: demiurgic status{flag})")


def _took(outcomes: Sequence[Outcome]) -> str:
    made = [outcome for outcome in outcomes if outcome.status == "made"]
    if not made:
        return ""
    peak = max(outcome.peak_memory_bytes for outcome in made)
    return f" ({duration(sum(outcome.seconds for outcome in made))}, at most {size(peak)} of memory)"


def _quoted(step: str) -> str:
    return f"'{step}'" if "[" in step else step


def manifest_json(folder: Path, manifest: Manifest) -> dict[str, JSON]:
    return {
        "folder": str(folder),
        "step": manifest.step,
        "stage": manifest.stage,
        "key": manifest.key,
        "made": manifest.made,
        "seed": manifest.seed,
        "config": manifest.config,
        "inputs": dict(manifest.inputs),
        "parts": {name: {"kind": part.kind, "digest": part.digest} for name, part in manifest.parts.items()},
        "summary": manifest.summary.to_json(),
        "lineage": dict(manifest.lineage),
    }


def print_manifest(folder: Path, manifest: Manifest) -> None:
    """What a step is, what it was made from, and what it has to say."""
    print(f"{manifest.step}  ({manifest.stage}, key {manifest.key}, made {manifest.made})")
    print(f"  folder   {folder}")
    for name, part in manifest.parts.items():
        print(f"  part     {name}: {part.kind}, {size(folder_bytes(folder / name))}, digest {part.digest[:16]}")
    for field, source in manifest.inputs.items():
        print(f"  {'reads':<8} {field}: {_origin(source)}")
    if SCORES in manifest.parts:
        print()
        print_results(manifest)
        return
    for name, metric in manifest.summary.metrics.items():
        print(f"  {name:<28} {metric}{f'  (n = {metric.n:,})' if metric.n else ''}")
    for name, fact in manifest.summary.facts.items():
        nested = isinstance(fact, dict) and any(isinstance(item, dict | list) for item in fact.values())
        if isinstance(fact, dict) and nested:
            print(f"  {name}")
            for inner, item in list(fact.items())[:LISTED]:
                print(f"    {inner:<26} {_short(item)}")
        else:
            print(f"  {name:<28} {_short(fact)}")


def _origin(source: JSON) -> str:
    assert isinstance(source, dict)
    return f"{source['step']}.{source['part']} ({source['key']})"


def _short(fact: JSON) -> str:
    match fact:
        case dict():
            shown = ", ".join(f"{name} {_short(item)}" for name, item in list(fact.items())[:12])
            return shown + (f", … {len(fact) - 12} more" if len(fact) > 12 else "")
        case list():
            return ", ".join(map(_short, fact[:12])) + (f", … {len(fact) - 12} more" if len(fact) > 12 else "")
        case float():
            return f"{fact:.4g}"
        case bool():
            return "yes" if fact else "no"
        case int():
            return f"{fact:,}"
        case _:
            return str(fact)
