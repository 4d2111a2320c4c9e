"""Training logs written by hand, in the format of the stage `train`, for what a tiny training does not show."""

import json
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from demiurgic.diagnose.log import read_log
from demiurgic.diagnose.training import Training

CONFIG: Mapping[str, Any] = {
    "losses": [
        {"use": "forward_kl", "version": 1, "weight": 0.9},
        {"use": "cross_entropy", "version": 1, "weight": 0.1},
    ],
    "teacher": {"artifact": "model", "key": "0123456789abcdef", "part": "model"},
    "held_out": {"artifact": "tokens", "key": "fedcba9876543210", "part": "tokens"},
    "lora": None,
    "on_policy": None,
    "steps": 100,
    "epochs": None,
    "match_seconds": None,
    "learning_rate": 1e-3,
    "warmup_steps": 5,
    "gradient_clip": 1.0,
    "evaluate_every": 20,
    "patience": None,
}


def step_line(step: int, parts: Mapping[str, tuple[float, float]], **more: Any) -> dict[str, Any]:
    """A step whose losses have these raw values and weights; `norms` maps names to gradient norms."""
    norms = more.pop("norms", {})
    components = {
        name: {"raw": raw if weight else None, "weight": weight, "weighted": raw * weight}
        | ({"gradient_norm": norms[name]} if name in norms else {})
        for name, (raw, weight) in parts.items()
    }
    total = sum(part["weighted"] for part in components.values())
    known = {"step": step, "num_steps": 100, "epoch": step / 100, "tokens": 64 * step, "learning_rate": 1e-3}
    known |= {"gradient_norm": 0.5, "seconds": 0.1, "source": "data", "total": total, "components": components}
    return {**known, **more}


def look(step: int, nats: float, **more: Any) -> dict[str, Any]:
    """A look at the held-out windows."""
    return {"step": step, "held_out": {"nats_per_token": nats, "windows": 8, "best": True, **more}}


def falling(step: int) -> float:
    """A loss as trainings have it: fast, then slow, with the noise of batches."""
    return 2 + 3 / (1 + step / 10) + random.Random(step).gauss(0, 0.03)


def both_losses(step: int) -> dict[str, tuple[float, float]]:
    return {"forward_kl": (falling(step) - 1.5, 0.9), "cross_entropy": (falling(step), 0.1)}


def steps_of(line: Callable[[int], dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """A hundred steps, each as `line` gives it."""
    return [(line or (lambda step: step_line(step, both_losses(step))))(step) for step in range(1, 101)]


def written(folder: Path, lines: Iterable[Mapping[str, Any]], **known: Any) -> Training:
    """The training whose log has these lines, with the usual config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    config = {**CONFIG, **known.pop("config", {})}
    return Training("student", read_log(folder), **{"config": config, "ancestors": [], "merges": [], **known})
