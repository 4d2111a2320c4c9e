"""Adapters as PEFT writes them, tiny and with random updates, as artifacts beside the base they are for."""

import json
import warnings
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Model
from demiurgic.models.lora import ADAPTER_CONFIG, BaseFacts, BasePrecision, write_base
from pretrained import Family, pretrained
from tiny_training import artifact


def pretrained_base(folder: Path, family: Family = "llama3", *, dtype: str = "float32", **changes: Any) -> Path:
    """A pretrained folder as an artifact, stored in `dtype`; returns the part's folder."""
    part = pretrained(folder / "model", family, **changes)
    if dtype != "float32":
        store_as(part, dtype)
    return artifact(part, kind="model")


def store_as(folder: Path, dtype: str) -> None:
    """Store a model folder's weights anew in another dtype."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)


def peft_adapter(
    folder: Path,
    base: Path,
    *,
    strength: float = 0.05,
    precision: BasePrecision = "fp32",
    seed: int = 0,
    **options: Any,
) -> Path:
    """An adapter made and saved by PEFT itself; returns the part's folder.

    `strength` is the size of the update of each weight beside the weight's own (Frobenius norms). `options` are PEFT's.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    given = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **options}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            model = get_peft_model(plain, LoraConfig(**given))
        for layer in model.modules():
            if isinstance(layer, LoraLayer):
                a_RI, b_OR = layer.lora_A["default"].weight, layer.lora_B["default"].weight
                torch.nn.init.normal_(b_OR)
                size = float((b_OR @ a_RI).norm()) * layer.scaling["default"]
                b_OR *= strength * float(layer.get_base_layer().weight.norm()) / size
    part = folder / "made" / "adapter"
    model.save_pretrained(str(part), save_embedding_layers=False)
    (part / "README.md").unlink(missing_ok=True)
    write_base(part, BaseFacts(Model.open(base).digest, precision, "tests"))
    return artifact(part, kind="adapter")


def change_config(part: Path, **changes: Any) -> Path:
    """Change settings of an adapter's config on disk; returns the part's folder."""
    path = part / ADAPTER_CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return artifact(part, kind="adapter")
