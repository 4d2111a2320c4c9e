"""Stores written by hand, as a run would leave them: every kind of step at once, without running any."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Manifest, stamp_part
from demiurgic.core.hashing import digest_of
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.run.gates import Gate, judge
from demiurgic.run.store import Store, finish

TOOK: Mapping[str, JSON] = {
    "resumed": False,
    "code": "0123456789ab",
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "device": "A processor, 2 cores",
}


class WrittenStore:
    """Writes steps of one run of one recipe, in order."""

    def __init__(self, path: Path, *, recipe: str = "demo", run: str = "run1") -> None:
        self.store = Store(path)
        self._run: dict[str, JSON] = {"run": run, "recipe": recipe, "file": "f0f0f0f0"}

    def start(self, *steps: str) -> None:
        self.store.ledger.append("started", {**self._run, "steps": list(steps)})

    def made(
        self,
        name: str,
        stage: str,
        *,
        metrics: Mapping[str, Metric | float] | None = None,
        facts: Mapping[str, Any] | None = None,
        parts: Mapping[str, str] | None = None,
        inputs: Mapping[str, tuple[str, str]] | None = None,
        config: Mapping[str, Any] | None = None,
        gates: Sequence[Mapping[str, Any]] = (),
        evidence: Mapping[str, str] | None = None,
        files: Mapping[str, Path] | None = None,
        seconds: float = 2.0,
    ) -> str:
        """A finished step with its ledger lines; returns its key.

        `inputs`: field -> (step, part); `files`: part -> a folder that is copied into it.
        """
        key = digest_of([name, stage, *sorted(metrics or {})])[:16]
        final = self.store.folder(name, key)
        partial = self.store.partial(name, key)
        for part in parts or {}:
            (partial / part).mkdir(parents=True)
            if part in (files or {}):
                shutil.copytree((files or {})[part], partial / part, dirs_exist_ok=True)
            else:
                (partial / part / "data.bin").write_bytes(bytes(1000))
        partial.mkdir(parents=True, exist_ok=True)
        for file, text in (evidence or {}).items():
            (partial / file).write_text(text)
        numbers = {n: m if isinstance(m, Metric) else Metric.exact(m) for n, m in (metrics or {}).items()}
        took = {"seconds": seconds, "peak_memory_bytes": 3.0e8 * seconds, **TOOK}
        read: dict[str, JSON] = {f: self._input(step, part) for f, (step, part) in (inputs or {}).items()}
        manifest = Manifest(
            step=name,
            stage=stage,
            version=1,
            key=key,
            config=dict(config or {}),
            seed=7,
            inputs=read,
            parts={part: stamp_part(partial / part, kind=kind) for part, kind in (parts or {}).items()},
            summary=Summary(numbers, dict(facts or {})),
            lineage={},
            took=took,
            made="2026-03-01T12:00:00Z",
        )
        finish(partial, final, manifest)
        summary = manifest.summary.to_json()
        self.event("made", name, stage, key, **took, config=manifest.config, inputs=read, digests={}, summary=summary)
        verdicts = judge(manifest.summary, [Gate(**gate) for gate in gates])
        missed = [str(verdict) for verdict in verdicts if not verdict.passed]
        if verdicts:
            shown: list[JSON] = [verdict.to_json() for verdict in verdicts]
            event = "rejected" if missed else "judged"
            self.event(event, name, stage, key, gates=shown, reason="; ".join(missed))
        return key

    def event(self, event: Any, name: str, stage: str, key: str, **more: Any) -> None:
        self.store.ledger.append(event, {**self._run, "step": name, "stage": stage, "key": key, **more})

    def _input(self, step: str, part: str) -> JSON:
        manifest = Manifest.read(self.store.named(step))
        return {"step": step, "key": manifest.key, "part": part, "digest": manifest.parts[part].digest}


def training_log(
    *,
    num_steps: int,
    components: Mapping[str, float | Callable[[int], float]],
    every: int = 100,
    best: int | None = None,
    phases: Mapping[str, int] | None = None,
) -> str:
    """A `log.jsonl`: losses that fall, with a jag every seventh step.

    `components` maps names to weights, or to functions of the step; `phases` maps names to first steps.
    """
    lines: list[dict[str, Any]] = []
    for step in range(1, num_steps + 1):
        raw = 2 + 6 / (1 + step / 60) + (0.4 if step % 7 == 0 else 0.0)
        weights = {name: asked(step) if callable(asked) else asked for name, asked in components.items()}
        parts = {
            name: {"raw": raw / n if weight else None, "weight": weight, "weighted": weight * raw / n}
            for n, (name, weight) in enumerate(weights.items(), 1)
        }
        total = sum(part["weighted"] for part in parts.values())
        lines.append({"step": step, "learning_rate": 1e-3 * step / num_steps, "total": total, "components": parts})
        if phases:
            name = [name for name, first in phases.items() if first <= step][-1]
            lines[-1]["phase"] = {"name": name, "progress": 0.5}
        if step % every == 0 or step == num_steps:
            kept = best is None or step <= best
            held_out = {"nats_per_token": raw + 0.3, "bits_per_token": raw, "windows": 4, "best": kept}
            lines.append({"step": step, "held_out": held_out})
    return "".join(json.dumps(line) + "\n" for line in lines)


def evaluation() -> tuple[dict[str, Metric], dict[str, Any]]:
    """Metrics and facts of an evaluation of a student and its control: one better, one worse, one not to tell."""
    metrics = {
        "teacher.bits_per_byte": Metric(1.389, 1.361, 1.420, 1000),
        "student.bits_per_byte": Metric(1.428, 1.395, 1.460, 1000),
        "control.bits_per_byte": Metric(1.527, 1.490, 1.561, 1000),
        "student_vs_control.bits_per_byte": Metric(-0.099, -0.112, -0.087, 1000),
        "student_vs_control.parses": Metric(-0.08, -0.13, -0.03, 200),
        "student_vs_control.exact_next_line": Metric(0.01, -0.02, 0.04, 400),
        "student_vs_control.recovered_share": Metric(0.72, 0.64, 0.8, 1000),
    }
    for name in ("teacher", "student", "control"):
        metrics[f"{name}.parses"] = Metric(0.52, 0.441, 0.598, 200)
        metrics[f"{name}.exact_next_line"] = Metric(0.11, 0.08, 0.142, 400)
    higher = {"better": "higher", "unit": "share"}
    facts: dict[str, Any] = {
        "models": ["teacher", "student", "control"],
        "compare": [["student", "control"]],
        "teacher": "teacher",
        "cluster_by": "module",
        "metrics": {
            "bits_per_byte": {"better": "lower", "unit": "bits per byte", "items": 1000, "clusters": 61},
            "parses": {**higher, "items": 200, "clusters": 48},
            "exact_next_line": {**higher, "items": 400, "clusters": 55},
        },
        "minimal_detectable_difference": {
            "student_vs_control": {"bits_per_byte": 0.018, "parses": 0.061, "exact_next_line": 0.045}
        },
        "recovered_share": {"of": "bits_per_byte", "undefined": {}},
        "training": {
            "teacher": {"tokens": 1_280_000, "steps": 1250, "train_seconds": 212.34},
            "student": {"tokens": 409_600, "steps": 400, "train_seconds": 61.23},
            "control": {},
        },
    }
    return metrics, facts


STEPS = (
    "raw",
    "clean",
    "asked",
    "blank",
    "teacher",
    "student",
    "control",
    "merged",
    "f16",
    "q8_0",
    "q4_k_m",
    "q2_k",
    "score",
)


def whole_store(path: Path) -> Store:
    """A run with every kind of step the page has a section for: `q2_k` misses its gate."""
    written = WrittenStore(path)
    written.start(*STEPS)
    written.made(
        "raw", "collect", metrics={"rows": 1000}, facts={"sources": {"files": 1000}}, parts={"rows": "dataset"}
    )
    written.made(
        "clean",
        "curate",
        metrics={"rows_in": 1000, "dropped": 300, "train": 600, "held_out": 100},
        facts={
            "dropped": {"files": {"too short": 200, "duplicate: an earlier row says the same": 60}, "web": {"x": 40}}
        },
        parts={"train": "dataset", "held_out": "dataset", "dropped": "dataset"},
        inputs={"data": ("raw", "rows")},
    )
    written.made(
        "asked",
        "generate",
        metrics={"rows": 95, "dropped": 5, "asked": 60, "from_journal": 40},
        facts={"dropped": {"cut off at max_tokens": 4, "empty": 1}, "teacher": {"provider": "openai"}},
        parts={"rows": "dataset", "dropped": "dataset"},
    )
    written.made("blank", "create", metrics={"parameters": 4_196_608}, parts={"model": "model"})
    for name, components in (
        ("teacher", {"cross_entropy": 1.0}),
        ("student", {"forward_kl": 0.9, "cross_entropy": 0.1}),
        ("control", {"cross_entropy": 1.0}),
    ):
        steps = 1250 if name == "teacher" else 300
        written.made(
            name,
            "train",
            metrics={"steps": steps, "best_step": 200, "tokens_per_second": 3220.24, "held_out_loss": 2.5 + len(name)},
            parts={"model": "model"},
            config={"batch": 4},
            inputs={"model": ("blank", "model"), "held_out": ("clean", "held_out")}
            | ({"teacher": ("teacher", "model")} if "d" in name else {}),
            evidence={"log.jsonl": training_log(num_steps=steps, components=components, best=200)},
            seconds=steps / 5,
        )
    written.made(
        "merged",
        "merge",
        metrics={"kl": Metric(2e-7, 1e-7, 3e-7, 40), "kl_share_of_effect": 4e-6, "effect_kl": 0.05, "top1": 1.0},
        parts={"model": "model"},
        inputs={"base": ("student", "model")},
    )
    for name, bits, kl in (("f16", 16.0, 0.0), ("q8_0", 8.5, 3e-4), ("q4_k_m", 4.9, 0.012), ("q2_k", 2.9, 0.31)):
        written.made(
            name,
            "export",
            metrics={
                "kl_to_source": Metric(kl, kl * 0.8, kl * 1.3, 64),
                "bits_per_weight": bits,
                "file_bytes": bits * 4e6,
                "source_bytes": 1.28e8,
                "top1": 1 - kl,
            },
            facts={"limit": 0.4 if bits < 4 else 0.02, "tensor_types": {"f32": 21, name: 140}},
            parts={"gguf": "gguf"},
            inputs={"model": ("merged", "model")},
            gates=[{"metric": "kl_to_source", "max": 0.05}],
            seconds=0.4,
        )
    metrics, facts = evaluation()
    inputs = {f"models.{name}": (name, "model") for name in ("teacher", "student", "control")}
    gates = [{"metric": "student_vs_control.bits_per_byte", "below": 0}]
    written.made(
        "score", "evaluate", metrics=metrics, facts=facts, parts={"scores": "scores"}, inputs=inputs, gates=gates
    )
    return written.store
