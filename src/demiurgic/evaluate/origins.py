"""Where models come from: what data they have seen, and what their training took. Reads manifests, opens no model."""

from collections.abc import Iterator, Mapping
from typing import Any

from demiurgic.core.artifacts import Dataset, Manifest, Model
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON

TRAINING = ("tokens", "steps", "train_seconds")
"""Metrics of a training that say whether two models had the same."""


def refuse_seen(models: Mapping[str, Model], data: Dataset) -> None:
    """Raises UserError when a model, or anything it was made from, was made from `data`."""
    for name, model in models.items():
        for step, field, digest in _inputs(model.manifest):
            if digest == data.digest:
                raise UserError(
                    f"The model {name} was trained or chosen on this data: its step {step} read it as `{field}`, so a "
                    f"score on it would measure memory. Give `data` a part that no model was made from, such as the "
                    "held_out of a curate step."
                )


def training_of(model: Model) -> dict[str, JSON]:
    """What the step that made a model says of its training; empty when it trained nothing."""
    metrics = model.manifest.summary.metrics
    return {name: metrics[name].value for name in TRAINING if name in metrics}


def _inputs(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """Step, field and digest of everything that a step and its ancestors read."""
    steps: list[Any] = [{"step": manifest.step, "inputs": manifest.inputs}, *manifest.lineage.values()]
    for step in steps:
        for field, source in step["inputs"].items():
            yield step["step"], field, source["digest"]
