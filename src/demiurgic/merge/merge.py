"""The stage `merge`: an adapter into its base, with the proof that the merged model is the adapter as it was trained.

Checks who belongs together, merges, proves; the merge is in `write.py`, the proof in `proof.py`.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from demiurgic.core.artifacts import Adapter, Manifest, Model, Tokens
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.merge.proof import (
    Proof,
    Reference,
    TextDivergence,
    compare_tensors,
    compared,
    percent,
    prove,
    reference,
    told,
)
from demiurgic.merge.write import Addition, Dtype, Onto, read_addition, write_merged
from demiurgic.models.architectures import refuse_quantized
from demiurgic.models.belongs import refuse_other_base, refuse_other_tokenizer
from demiurgic.models.lora import BaseFacts, LoraSpec
from demiurgic.models.shards import stored_precision
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.stats.bootstrap import Measured, ratio

PROOF = "proof.json"
"""The figures of every tensor, beside the model."""


class MergeConfig(StageConfig):
    """Which adapter into which base, and the texts to prove it on."""

    base: Model
    adapter: Adapter
    data: Tokens | None = None
    """Windows to compare on, in the base's tokens; a few texts of ours by default."""
    onto: Onto = "base"
    """`dequantized` for an adapter that was trained on a 4-bit base: what its layers computed with, in full precision.
    `nf4` (merge in 4 bits) is measured and refused: 4 bits lose the update."""
    dtype: Dtype = "base"
    """`fp32` where the base is stored in bf16 or fp16, whose steps are too coarse for the update."""


def run(config: MergeConfig, out: Path, context: Context) -> Summary:
    """Merge an adapter into its base, and prove that the result is the adapter as it was trained."""
    from demiurgic.models.load import resolve_device

    base, adapter = config.base.path, config.adapter.path
    facts = _belonging(config)
    addition = read_addition(adapter, base=base, nf4=facts.precision == "nf4")
    windows = _windows(config)
    device = str(resolve_device(context.device))
    with TemporaryDirectory(dir=out, prefix="logits-") as scratch:
        wanted = reference(base, adapter, nf4=addition.nf4, windows=windows, device=device, scratch=Path(scratch))
        if config.onto != _right(addition):
            write_merged(base, addition, out / "refused", onto=config.onto, dtype=config.dtype)
            reason = _wrong_base(config, addition, out / "refused", wanted, facts=facts, device=device)
            shutil.rmtree(out / "refused")
            raise UserError(reason)
        write_merged(base, addition, out / "model", onto=config.onto, dtype=config.dtype)
        proof = prove(base, addition, out / "model", wanted, device=device)
    write_text(out / PROOF, json.dumps(proof.to_json(), indent=1) + "\n")
    if proof.misses():
        raise UserError(
            f"The merged model is not the adapter {_named(config.adapter.manifest)} applied to its base "
            f"({', '.join(proof.misses())}): {proof.told()}. It is not published. {advice(proof, out / PROOF)}"
        )
    return _summary(config, addition, proof, base=facts, merged=out / "model")


def advice(proof: Proof, evidence: Path) -> str:
    """What to do about a merge that misses: what is stored too coarsely, or learned too little, a person can mend."""
    misses, least = set(proof.misses()), proof.least_present
    if misses & {"residual", "strangers"}:
        return f"A tensor is not what was to be written, so the merge itself is at fault: report it, with {evidence}."
    if "projection" in misses:
        kept = f"{least.precision} keeps {percent(least.projection)} of the update of {least.name}"
        if least.precision != "fp32":
            return f"Its dtype is too coarse: {kept}; set dtype: fp32."
        return f"The update is too small: {kept}. Train the adapter further, or use the base as it is."
    if proof.coarse is not None:
        return f"Every tensor is right but for the rounding to {proof.coarse}: set dtype: fp32."
    if "kl_share_of_effect" in misses:
        return (
            "Every tensor is right, and the adapter's effect is below what can be compared in fp32. Train the adapter "
            "further, or use the base as it is."
        )
    return f"Every tensor is right, and its predictions are not: report it, with {evidence}."


def _right(addition: Addition) -> Onto:
    return "dequantized" if addition.nf4 else "base"


def _belonging(config: MergeConfig) -> BaseFacts:
    """What the adapter says of its base. Raises UserError unless it is this one, and the update is all there is."""
    adapter, base = config.adapter, config.base
    facts = refuse_other_base(adapter.path, base)
    refuse_quantized(base.path)
    beyond = LoraSpec.read(adapter.path).beyond_plain
    if beyond:
        raise UserError(
            f"The adapter {_named(adapter.manifest)} is more than updates of linear layers: {'; '.join(beyond)}. Such "
            "an adapter cannot be merged and proven here: merge it with the program that made it and fetch the merged "
            "model, or train one with `lora` in train."
        )
    return facts


def _named(manifest: Manifest) -> str:
    return f"{manifest.step} ({manifest.stage})"


def _windows(config: MergeConfig) -> Windows | None:
    if config.data is None:
        return None
    windows = Windows.open(config.data.path)
    refuse_other_tokenizer(windows, folder=config.base.path)
    return windows


def _wrong_base(
    config: MergeConfig, addition: Addition, merged: Path, wanted: Reference, *, facts: BaseFacts, device: str
) -> str:
    """Why this adapter is not merged there, with what it would be: measured, not supposed."""
    trained = "in 4 bits (nf4)" if addition.nf4 else "in full precision"
    known = "was trained" if facts.proven else "does not say what it was trained on, and is taken to be trained"
    kl = compared(merged, wanted, device=device)
    otherwise, lost = "", ""
    if not (facts.proven or addition.nf4):
        otherwise = " If it was trained on 4 bits, fetch it with precision: nf4, and set onto: dequantized."
    if addition.nf4 and config.onto == "nf4":
        tensors, _ = compare_tensors(config.base.path, addition, merged)
        survives = sum(tensor.projection for tensor in tensors) / len(tensors)
        lost = f" Of the update {percent(survives)} survives the new 4 bits, on average over the tensors."
    return (
        f"The adapter {_named(config.adapter.manifest)} {known} on its base {trained}; with onto: {config.onto} it "
        f"would become another model: {told(kl, effect=wanted.effect)}.{lost} Set onto: {_right(addition)}"
        f"{', and quantize the merged model afterwards' if config.onto == 'nf4' else ''}.{otherwise}"
    )


def _summary(config: MergeConfig, addition: Addition, proof: Proof, *, base: BaseFacts, merged: Path) -> Summary:
    low, high = proof.projections
    counted = {
        "kl_share_of_effect": proof.share,
        "top1": proof.kl.top1,
        "min_projection": low,
        "max_projection": high,
        "num_tensors": len(proof.tensors),
    }
    estimated = {"kl": _interval(proof.kl), "effect_kl": _interval(proof.effect)}
    spec = LoraSpec.read(config.adapter.path)
    scalings: list[JSON] = [*sorted({update.scaling for update in addition.updates.values()})]
    facts: dict[str, JSON] = {
        "base": config.base.digest,
        "base_precision": base.precision,
        "base_proven": base.proven,
        "adapter": config.adapter.digest,
        "onto": config.onto,
        "rank": spec.rank,
        "scaling": scalings[0] if len(scalings) == 1 else scalings,
        "dtype": stored_precision(merged, modules=sorted(addition.updates)),
        "max_kl": proof.kl.max_kl,
        "positions": proof.kl.positions,
        "compared_on": "data" if config.data is not None else "texts of the program",
    }
    return Summary({name: Metric.exact(value) for name, value in counted.items()} | estimated, facts)


def _interval(found: TextDivergence) -> Metric:
    """The mean over positions with its interval over texts."""
    texts = [str(number) for number in range(len(found.texts))]
    nats = [text.mean_kl * text.positions for text in found.texts]
    return ratio(Measured(texts, texts, nats, [text.positions for text in found.texts]), seed=0)


STAGE = Stage("merge", MergeConfig, run, makes={"model": Model}, needs=("torch", "transformers", "safetensors", "peft"))
