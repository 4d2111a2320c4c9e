"""A PEFT adapter folder as a GGUF file that llama.cpp applies to the base's GGUF while it runs.

Each update's true scaling (rsLoRA and patterns included) is multiplied into B and `adapter.lora.alpha` is 0, which the
runtime reads as scale 1: its own alpha / rank would be wrong for both. Knows nothing of the base's weights.

Shapes: R rank, I inputs and O outputs of a linear layer.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.optional import require
from demiurgic.models.gguf.architecture import Architecture, read_architecture
from demiurgic.models.gguf.tensors import TensorPlan, interleave_halves, plan_tensors
from demiurgic.models.gguf.write import Entry, Written, in_memory, write_file
from demiurgic.models.lora import LoraSpec, Update, read_updates

if TYPE_CHECKING:
    from gguf import GGUFWriter

ADAPTER_TYPES = ("f32", "f16")
"""What an adapter's matrices may be stored in."""


def write_adapter_gguf(
    adapter_folder: Path, base_folder: Path, out: Path, *, type: str = "f32", name: str = "adapter"
) -> Written:
    """Write an adapter for the base model's GGUF to the file `out`; the base's folder is read for its config alone.

    Raises UserError for what a GGUF adapter cannot hold, an adapter of another base, and OSError when the disk is full.
    """
    require("gguf", "torch")
    if type not in ADAPTER_TYPES:
        raise UserError(unknown("type of a GGUF adapter", type, ADAPTER_TYPES))
    _refuse_more_than_updates(LoraSpec.read(adapter_folder), adapter_folder)
    architecture = read_architecture(base_folder)
    plans = {plan.source.removesuffix(".weight"): plan for plan in plan_tensors(architecture)}
    entries: list[Entry] = []
    for update in read_updates(adapter_folder):
        plan = _plan_of(update, plans.get(update.module), architecture, adapter_folder)
        entries += _entries(update, plan, type)

    def describe(writer: "GGUFWriter") -> None:
        writer.add_type("adapter")
        writer.add_name(name)
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", 0.0)

    return write_file(out, entries, architecture=architecture.name, describe=describe)


def _entries(update: Update, plan: TensorPlan, type: str) -> Iterable[Entry]:
    b_OR = update.b_OR.float() * update.scaling
    if plan.head_rows:
        b_OR = interleave_halves(b_OR, head_rows=plan.head_rows)
    yield in_memory(f"{plan.name}.lora_a", update.a_RI.float().numpy(), type)
    yield in_memory(f"{plan.name}.lora_b", b_OR.numpy(), type)


def _plan_of(update: Update, plan: TensorPlan | None, architecture: Architecture, folder: Path) -> TensorPlan:
    merge = "Merge it into its base (stage merge) and export the merged model."
    if plan is None and update.module == "lm_head":
        raise UserError(
            f"The adapter {folder} updates lm_head, and the base's output matrix is its token embedding, which a GGUF "
            f"adapter cannot update. {merge}"
        )
    if plan is None or len(plan.shape) != 2 or plan.name == "token_embd.weight":
        raise UserError(
            f"The adapter {folder} updates {update.module}, which a GGUF adapter for {architecture.name} cannot. "
            f"{merge}"
        )
    shape = update.b_OR.shape[0], update.a_RI.shape[1]
    if shape != plan.shape:
        raise UserError(
            f"The adapter {folder} updates {update.module} as a matrix of {shape}, and the base's has {plan.shape}. "
            "The adapter is for another base."
        )
    return plan


def _refuse_more_than_updates(spec: LoraSpec, folder: Path) -> None:
    if spec.beyond_plain:
        raise UserError(
            f"The adapter {folder} has {', '.join(spec.beyond_plain)}, which a GGUF adapter cannot hold. Merge it into "
            "its base (stage merge, where it can) and export the merged model."
        )
