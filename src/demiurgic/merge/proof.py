"""Whether a merged folder is its base with the adapter in it exactly once: tensor by tensor, and by what it predicts.

Everything is read anew from the folders on disk, and the reference is the adapter as PEFT applies it, unmerged. Knows
neither who merged nor how; so it can be shown wrong merges.

Shapes: O outputs and I inputs of a linear layer, T positions of a text, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.merge.write import Addition
from demiurgic.models.compare import Divergence, divergence
from demiurgic.models.load import context_length, load_model
from demiurgic.models.lora import apply_adapter
from demiurgic.models.nf4 import dequantize_blocks
from demiurgic.models.probes import probe_sequences
from demiurgic.models.shards import PRECISIONS, StoredTensor, stored_tensors
from demiurgic.models.tokenizer import load_tokenizer
from demiurgic.models.windows import Windows

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

PROJECTION_SLACK = 0.01
"""How far from once an update may be present: 0 is not merged or lost in rounding, 2 is twice."""
MAX_RESIDUAL = 1e-2
"""The largest part of a tensor, relative to its update, that the update and the stored dtype do not explain."""
MAX_KL = 1e-5
MAX_SHARE = 0.01
"""Of the adapter's whole effect: what tells a wrong merge of a weak adapter, whose every KL is small."""
MIN_TOP1 = 0.995


@dataclass(frozen=True, slots=True)
class TensorProof:
    """How often an update is present in a merged weight, and what else is."""

    name: str
    projection: float
    """<merged - start, update> / <update, update>: how often the stored weight holds the update, 1 is once."""
    residual: float
    """||merged - round(start + update)|| / ||update||; where it is 0, what is off is the stored dtype's rounding."""
    precision: str
    """What the merged weight is stored in: `fp32`, `bf16` or `fp16`."""


@dataclass(frozen=True)
class TextDivergence:
    """A divergence text by text."""

    texts: Sequence[Divergence]

    @classmethod
    def of(cls, pairs: "Iterable[tuple[Tensor, Tensor]]") -> "TextDivergence":
        return cls([divergence([pair]) for pair in pairs])

    @property
    def positions(self) -> int:
        return sum(text.positions for text in self.texts)

    @property
    def mean_kl(self) -> float:
        return sum(text.mean_kl * text.positions for text in self.texts) / self.positions

    @property
    def max_kl(self) -> float:
        return max(text.max_kl for text in self.texts)

    @property
    def top1(self) -> float:
        return sum(text.top1 * text.positions for text in self.texts) / self.positions

    def to_json(self) -> dict[str, JSON]:
        names = ("mean_kl", "max_kl", "top1", "positions")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Reference:
    """What the adapter as applied by PEFT predicts: logits [T,V] of each text, fp32, which wait on the disk."""

    sequences: Sequence[Sequence[int]]
    folder: Path
    """Where they lie; it must stay as long as this is compared with."""
    effect: "TextDivergence"
    """KL(adapter applied ‖ base): all that was learned."""

    def applied(self) -> "Iterator[Tensor]":
        """The logits of one text after the other."""
        for number, ids in enumerate(self.sequences):
            yield _read(self.folder / f"{number}", num_tokens=len(ids))


@dataclass(frozen=True)
class Proof:
    """Every figure of a merge, and which of them miss their bound."""

    tensors: Sequence[TensorProof]
    strangers: Sequence[str]
    """Tensors without an update that are not the base's (or its 4-bit form's) bit by bit."""
    kl: TextDivergence
    """KL(adapter applied ‖ merged)."""
    effect: TextDivergence

    @property
    def share(self) -> float:
        return self.kl.mean_kl / self.effect.mean_kl if self.effect.mean_kl else float("inf")

    @property
    def projections(self) -> tuple[float, float]:
        """The smallest and the largest."""
        found = [tensor.projection for tensor in self.tensors]
        return min(found), max(found)

    def ratios(self) -> dict[str, float]:
        """Each figure as a multiple of its bound; above 1 it misses."""
        low, high = self.projections
        return {
            "projection": max(abs(low - 1), abs(high - 1)) / PROJECTION_SLACK,
            "residual": max(tensor.residual for tensor in self.tensors) / MAX_RESIDUAL,
            "strangers": float("inf") if self.strangers else 0.0,
            "kl": self.kl.mean_kl / MAX_KL,
            "kl_share_of_effect": self.share / MAX_SHARE,
            "top1": (1 - self.kl.top1) / (1 - MIN_TOP1),
        }

    def misses(self) -> list[str]:
        return [name for name, ratio in self.ratios().items() if not ratio <= 1]

    @property
    def least_present(self) -> TensorProof:
        """The tensor whose projection is furthest from 1."""
        return max(self.tensors, key=lambda tensor: abs(tensor.projection - 1))

    @property
    def coarse(self) -> str | None:
        """What merged weights are stored in, where that is less than fp32."""
        return next((tensor.precision for tensor in self.tensors if tensor.precision != "fp32"), None)

    def told(self) -> str:
        """All figures in one sentence."""
        low, high = self.projections
        residual = max(tensor.residual for tensor in self.tensors)
        changed = f"; {len(self.strangers)} other tensors changed, first {self.strangers[0]}" if self.strangers else ""
        return (
            f"the update is present {low:.4g} to {high:.4g} times (wanted 1 ± {PROJECTION_SLACK:g}), unexplained "
            f"{residual:.2g} of it (at most {MAX_RESIDUAL:g}){changed}; {told(self.kl, effect=self.effect)}"
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "tensors": [asdict(tensor) for tensor in self.tensors],
            "strangers": list(self.strangers),
            "applied_to_merged": self.kl.to_json(),
            "applied_to_base": self.effect.to_json(),
            "kl_share_of_effect": self.share,
            "multiples_of_bounds": {name: ratio for name, ratio in self.ratios().items() if ratio != float("inf")},
        }


def told(kl: TextDivergence, *, effect: TextDivergence) -> str:
    """Where a merged model stands between the adapter as applied and the base, in words."""
    share = f"{percent(kl.mean_kl / effect.mean_kl)} of" if effect.mean_kl else "beside"
    return (
        f"KL(adapter applied ‖ merged) is {kl.mean_kl:.2g} (at most {MAX_KL:g}), {share} the adapter's whole effect of "
        f"{effect.mean_kl:.2g} (at most {100 * MAX_SHARE:g} %), and {100 * kl.top1:.4g} % of {kl.positions} likeliest "
        f"tokens agree (at least {100 * MIN_TOP1:g} %)"
    )


def percent(share: float) -> str:
    """A share of two digits, or of whole percents."""
    return f"{100 * share:.2g} %" if share < 1 else f"{100 * share:,.0f} %"


def reference(
    base: Path, adapter: Path, *, nf4: bool, windows: Windows | None, device: str, scratch: Path
) -> Reference:
    """What is to be reached: the base in fp32, dequantized where it was trained on in 4 bits, with PEFT's layers.

    `scratch` is a folder on a disk with room for the logits: positions × words × 4 bytes, 1.9 GB for 24 texts of 128
    tokens and 150,000 words. Raises UserError when fewer than 2 texts can be compared.
    """
    # 4 bits are made where the merge makes them: another device may round to other codes
    model = load_model(base, device="cpu" if nf4 else device)
    sequences = probe_sequences(load_tokenizer(base), windows=windows, context=context_length(model))
    if len(sequences) < 2:
        raise UserError("The data holds one document to compare models on; wanted at least 2. Give other tokens.")
    if nf4:
        dequantize_blocks(model)
        model.to(device)
    for number, logits_TV in enumerate(_logits(model, sequences)):
        _write(scratch / f"{number}", logits_TV)
    model = apply_adapter(model, adapter)
    effects = []
    for number, applied_TV in enumerate(_logits(model, sequences)):
        file = scratch / f"{number}"
        effects.append(divergence([(applied_TV, _read(file, num_tokens=len(applied_TV)))]))
        _write(file, applied_TV)
    return Reference(sequences, scratch, TextDivergence(effects))


def compared(merged: Path, wanted: Reference, *, device: str) -> TextDivergence:
    """KL(adapter applied ‖ merged folder), in fp32."""
    model = load_model(merged, device=device)
    return TextDivergence.of(zip(wanted.applied(), _logits(model, wanted.sequences), strict=True))


def prove(base: Path, addition: Addition, merged: Path, wanted: Reference, *, device: str) -> Proof:
    """All figures of a merged folder: one base tensor in memory, then the merged model in fp32."""
    tensors, strangers = compare_tensors(base, addition, merged)
    return Proof(tensors, strangers, compared(merged, wanted, device=device), wanted.effect)


def compare_tensors(base: Path, addition: Addition, merged: Path) -> tuple[list[TensorProof], list[str]]:
    """The figures of each updated tensor, and the names of the others that are not as they were."""
    before, after = stored_tensors(base), stored_tensors(merged)
    strangers = sorted(before.keys() ^ after.keys())
    proofs = []
    for name in sorted(before.keys() & after.keys()):
        module = name.removesuffix(".weight")
        update = addition.updates.get(module)
        if update is not None and update.delta_OI().any():
            proofs.append(_tensor_proof(before[name], after[name], addition, module))
        elif not _unchanged(before[name], after[name], addition):
            strangers.append(name)
    return proofs, strangers


def _tensor_proof(before: StoredTensor, after: StoredTensor, addition: Addition, module: str) -> TensorProof:
    delta_OI = addition.updates[module].delta_OI()
    start_OI, merged_OI = addition.start_OI(before.read()), after.read().float()
    rounded_OI = (start_OI + delta_OI).to(after.torch_dtype).float()
    size = float(delta_OI.double().square().sum())
    projection = float(((merged_OI - start_OI).double() * delta_OI.double()).sum()) / size
    residual = float((merged_OI - rounded_OI).double().norm()) / size**0.5
    return TensorProof(before.name, projection, residual, PRECISIONS[after.dtype])


def _unchanged(before: StoredTensor, after: StoredTensor, addition: Addition) -> bool:
    """Whether a tensor without an update is what its base, in 4 bits or not, gives in the dtype it is stored in."""
    quantized = addition.nf4 and before.name.removesuffix(".weight") in addition.linears
    if before.shape != after.shape:
        return False
    if before.dtype == after.dtype and not quantized:
        return before.raw() == after.raw()
    start = addition.start_OI(before.read()) if quantized else before.read()
    return bool((after.read() == start.to(after.torch_dtype)).all())


def _logits(model: "PreTrainedModel", sequences: Sequence[Sequence[int]]) -> "Iterator[Tensor]":
    import torch

    for ids in sequences:
        with torch.no_grad():
            yield model(torch.tensor([ids], device=model.device), use_cache=False).logits[0].float().cpu()


def _write(file: Path, logits_TV: "Tensor") -> None:
    file.write_bytes(logits_TV.contiguous().numpy().data)


def _read(file: Path, *, num_tokens: int) -> "Tensor":
    import torch

    return torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.float32).reshape(num_tokens, -1)
