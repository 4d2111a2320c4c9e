"""What a finished training says of itself."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Artifact
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.train.adapter import AdapterPlan
from demiurgic.train.checkpoint import Progress
from demiurgic.train.config import TrainConfig
from demiurgic.train.loop import Plan
from demiurgic.train.weights import trained_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def summary_of(
    config: TrainConfig,
    plan: Plan,
    progress: Progress,
    *,
    last: Mapping[str, Any],
    adapter: AdapterPlan | None,
    model: "PreTrainedModel",
) -> Summary:
    """`last` is the log's line of the last step."""
    if progress.num_steps is None:
        raise AssertionError("a finished training knows its number of steps")
    warmed = min(plan.learning_rate.warmup_steps, progress.num_steps)
    counted = {
        "train_seconds": progress.train_seconds,
        "steps": progress.step,
        "best_step": progress.best_step or progress.step,
        "epochs": plan.order.epochs(progress.step),
        "tokens": progress.tokens,
        "tokens_per_second": progress.tokens / progress.train_seconds,
        "peak_learning_rate": plan.learning_rate.at(max(warmed - 1, 0), num_steps=progress.num_steps),
    }
    if config.match_seconds is not None:
        counted["seconds_ratio"] = progress.train_seconds / plan.seconds
    if plan.held_out is not None:
        counted["held_out_loss"] = progress.best_loss
    if progress.teacher_loss is not None:
        counted["teacher_held_out_loss"] = progress.teacher_loss
    facts: dict[str, JSON] = {
        "last_step": {"total": last["total"], "components": last["components"]},
        "teacher": config.teacher.digest if isinstance(config.teacher, Artifact) else None,
        "seconds_to_match": plan.seconds if config.match_seconds is not None else None,
        "precision": config.precision,
        "schedule": config.schedule,
        "stopped_early": progress.stopped_early,
    }
    if adapter is not None:
        facts |= _adapter_facts(adapter)
        counted["trained_parameters"] = sum(weight.numel() for weight in trained_weights(model).values())
    return Summary({name: Metric.exact(value) for name, value in counted.items()}, facts)


def _adapter_facts(adapter: AdapterPlan) -> dict[str, JSON]:
    """What was trained, and on what."""
    lora = adapter.lora
    return {
        "base": adapter.base.base_digest,
        "base_precision": adapter.base.precision,
        "rank": lora.rank,
        "alpha": lora.scale_alpha,
        "rslora": lora.rslora,
        "scaling": lora.scaling,
        "targets": list(adapter.targets),
    }
