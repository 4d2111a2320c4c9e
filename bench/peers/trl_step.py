"""Distillation steps of TRL on given windows: its GKD trainer without sampling, and its stable distillation trainer.

    python bench/peers/trl_step.py gkd|stable FOLDER --steps 4 --learning-rate 1e-4

FOLDER holds `student/model`, `teacher/model` (Hugging Face folders) and `ids.npy` [windows, length]. Every step trains
on all windows; every token but the first of each is supervised. Prints one line of JSON.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clock import StepClock
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DistillationConfig, DistillationTrainer
from trl.experimental.gkd import GKDConfig, GKDTrainer


class Watch(TrainerCallback):
    """Tells the clock when training begins and when an optimizer step has ended."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock
        self.losses: list[torch.Tensor] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.clock.loaded()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.clock.done(float(self.losses[-1]))


def watched(trainer_class: type, watch: Watch) -> type:
    """The trainer, which also tells each loss that it differentiates."""

    class Watched(trainer_class):  # type: ignore[misc]
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            watch.losses.append(loss.detach())
            return loss

    return Watched


def gkd(folder: Path, ids_BT: torch.Tensor, arguments: argparse.Namespace, watch: Watch) -> Any:
    """Off-policy (`lmbda` 0), forward KL (`beta` 0), full logits of both models."""
    ones_BT = torch.ones_like(ids_BT)
    batch = {
        "input_ids": ids_BT, "labels": ids_BT, "attention_mask": ones_BT,
        "prompts": ids_BT[:, :1], "prompt_attention_mask": ones_BT[:, :1],
    }  # fmt: skip
    return watched(GKDTrainer, watch)(
        args=GKDConfig(lmbda=0.0, beta=0.0, temperature=1.0, **common(arguments, len(ids_BT))),
        data_collator=lambda rows: {name: value.clone() for name, value in batch.items()},
        **parts(folder, len(ids_BT), watch),
    )


def stable(folder: Path, ids_BT: torch.Tensor, arguments: argparse.Namespace, watch: Watch) -> Any:
    """Forward KL (`beta` 0) in chunks. Its sampling is left out: the windows stand for what it would have written."""

    class Given(watched(DistillationTrainer, watch)):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, torch.Tensor]:
            prompt_BT, completion_BT = ids_BT[:, :1], ids_BT[:, 1:]
            return {
                "prompt_ids": prompt_BT, "prompt_mask": torch.ones_like(prompt_BT),
                "completion_ids": completion_BT, "completion_mask": torch.ones_like(completion_BT),
                "num_items_in_batch": torch.tensor(float(completion_BT.numel())),
            }  # fmt: skip

    return Given(
        args=DistillationConfig(beta=0.0, **common(arguments, len(ids_BT))), **parts(folder, len(ids_BT), watch)
    )


def common(arguments: argparse.Namespace, batch: int) -> dict[str, Any]:
    """What both trainers are told: plain AdamW in fp32 on the CPU, and nothing beside the steps."""
    return {
        "output_dir": str(arguments.folder / "out"), "max_steps": arguments.steps, "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": 1, "learning_rate": arguments.learning_rate, "lr_scheduler_type": "constant",
        "optim": "adamw_torch_fused", "weight_decay": 0.0, "adam_beta1": 0.9, "adam_beta2": 0.95, "adam_epsilon": 1e-8,
        "max_grad_norm": 1.0, "bf16": False, "fp16": False, "use_cpu": True, "gradient_checkpointing": False,
        "logging_strategy": "no", "save_strategy": "no", "eval_strategy": "no", "report_to": [], "disable_tqdm": True,
        "dataloader_num_workers": 0, "seed": 1,
    }  # fmt: skip


def parts(folder: Path, batch: int, watch: Watch) -> dict[str, Any]:
    def load(name: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(
            folder / name / "model", dtype=torch.float32, attn_implementation="sdpa"
        )

    return {
        "model": load("student"),
        "teacher_model": load("teacher"),
        "train_dataset": Dataset.from_dict({"prompt": ["a"] * (batch * 64)}),
        "processing_class": AutoTokenizer.from_pretrained(folder / "student" / "model", padding_side="left"),
        "callbacks": [watch],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("trainer", choices=("gkd", "stable"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    arguments = parser.parse_args()
    clock = StepClock()
    ids_BT = torch.from_numpy(np.load(arguments.folder / "ids.npy").astype(np.int64))
    make = {"gkd": gkd, "stable": stable}[arguments.trainer]
    make(arguments.folder, ids_BT, arguments, Watch(clock)).train()
    print(clock.report())


if __name__ == "__main__":
    main()
