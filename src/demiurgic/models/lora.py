"""An adapter folder as PEFT writes it: what its config says, its updates tensor by tensor, and the base it is for.

Reading needs no PEFT; `apply_adapter` is PEFT itself, so that what we compute can be held against it. Knows no stages.

Shapes: R rank, I inputs and O outputs of a linear layer.
"""

import json
import logging
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from demiurgic.core.artifacts import Model
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.optional import require
from demiurgic.models.architectures import empty_model

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
BASE = "base.json"
"""Beside them in our own adapters: what the adapter was trained on."""
PREFIX = "base_model.model."
"""What PEFT puts before the base's module names."""

BasePrecision = Literal["fp32", "bf16", "fp16", "nf4"]
"""How the base's linear layers were stored while the adapter was trained on them."""
ALTERING_INITS = ("pissa", "olora", "corda", "loftq", "mica", "lora_ga")
"""Initialisations by which PEFT changes the base's own weights, so that the base on disk is not what was trained on."""


@dataclass(frozen=True, slots=True)
class LoraSpec:
    """What an `adapter_config.json` says of a LoRA adapter."""

    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    rslora: bool
    dora: bool
    bias: str
    """`none`, `all` or `lora_only`: which biases were trained."""
    modules_to_save: tuple[str, ...]
    """Modules that were trained whole, in place of an update."""
    targets: tuple[str, ...] | str
    """Names that the adapted modules end with, or a regular expression, or `all-linear`."""
    extensions: tuple[str, ...]
    """Settings that make the adapter more, or other, than updates B·A of linear layers."""

    @classmethod
    def read(cls, folder: Path) -> "LoraSpec":
        """Raises UserError when the folder holds no adapter, or one that is no LoRA."""
        path = folder / ADAPTER_CONFIG
        data = _json(path, missing=f"{folder} holds no adapter: {ADAPTER_CONFIG} is missing. Point to a PEFT folder.")
        if data.get("peft_type") != "LORA":
            raise UserError(f"{path} describes an adapter of the type {data.get('peft_type')}; only LORA is supported.")
        try:
            return cls(
                rank=int(data["r"]),
                alpha=float(data["lora_alpha"]),
                rank_pattern={str(k): int(v) for k, v in (data.get("rank_pattern") or {}).items()},
                alpha_pattern={str(k): float(v) for k, v in (data.get("alpha_pattern") or {}).items()},
                rslora=bool(data.get("use_rslora")),
                dora=bool(data.get("use_dora")),
                bias=str(data.get("bias", "none")),
                modules_to_save=tuple(data.get("modules_to_save") or ()),
                targets=_targets(data.get("target_modules")),
                extensions=tuple(_extensions(data)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({type(error).__name__}: {error}). Make the adapter again.") from None

    def rank_of(self, module: str) -> int:
        """The rank of a module's update, by the name the base gives the module."""
        return int(_by_pattern(self.rank_pattern, module, default=self.rank))

    def scaling_of(self, module: str) -> float:
        """What B·A is multiplied by: alpha/r (LoRA, arXiv 2106.09685), or alpha/sqrt(r) (rsLoRA, arXiv 2312.03732)."""
        rank = self.rank_of(module)
        alpha = _by_pattern(self.alpha_pattern, module, default=self.alpha)
        return alpha / (math.sqrt(rank) if self.rslora else rank)

    @property
    def beyond_plain(self) -> list[str]:
        """What keeps this adapter from being W + s·B·A of linear layers and nothing else, in words; mostly empty."""
        found = ["DoRA (use_dora)"] if self.dora else []
        found += [f"trained biases (bias: {self.bias})"] if self.bias != "none" else []
        found += [f"modules trained whole ({', '.join(self.modules_to_save)})"] if self.modules_to_save else []
        return found + list(self.extensions)


@dataclass(frozen=True)
class Update:
    """What an adapter adds to the weight [O,I] of one linear layer of its base."""

    module: str
    """As the base names it: `model.layers.0.self_attn.q_proj`."""
    a_RI: "Tensor"
    b_OR: "Tensor"
    scaling: float

    def delta_OI(self) -> "Tensor":
        """What is added, [O,I]: scaling · B·A in fp32, whatever A and B are stored in."""
        delta_OI: Tensor = (self.b_OR.float() @ self.a_RI.float()) * self.scaling
        return delta_OI


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What `base.json` says of the model an adapter is for."""

    base_digest: str
    """Of the model artifact it was trained on."""
    precision: BasePrecision
    source: str | None = None
    """The hub's id of that model, where it came from there: never a path, nor a step's name, which no key holds."""
    revision: str | None = None
    """The commit there."""
    proven: bool = True
    """False where an adapter came from elsewhere, and shapes are all that speaks for its base."""

    @classmethod
    def of(cls, base: Model, precision: BasePrecision, *, proven: bool = True) -> "BaseFacts":
        """What there is to say of a model artifact."""
        source, revision = hub_origin(base) or (None, None)
        return cls(base.digest, precision, source, revision, proven)


def hub_origin(model: Model) -> tuple[str, str] | None:
    """The hub's id and the commit that a model artifact was fetched from, where it was."""
    facts = model.manifest.summary.facts
    source, revision = facts.get("source"), facts.get("revision")
    return (source, revision) if isinstance(source, str) and isinstance(revision, str) else None


TEXT_OR_NONE = (str, type(None))
BASE_FIELDS: Mapping[str, tuple[type, ...]] = {
    "base_digest": (str,),
    "precision": (str,),
    "source": TEXT_OR_NONE,
    "revision": TEXT_OR_NONE,
    "proven": (bool,),
}


def read_base(folder: Path) -> BaseFacts:
    """The facts beside an adapter. Raises UserError when there are none, or they are damaged."""
    missing = (
        f"{folder} does not say which base it was trained on: {BASE} is missing. Fetch the adapter with its base "
        "(stage fetch, kind: adapter), which writes it."
    )
    data = {"proven": True, **_json(folder / BASE, missing=missing)}
    names = BASE_FIELDS.keys() | data.keys()
    odd = [name for name in names if not isinstance(data.get(name), BASE_FIELDS.get(name, ()))]
    if odd:
        found = f"{min(odd)} is {json.dumps(data.get(min(odd)))}"
        raise UserError(f"{folder / BASE} is damaged ({found}). Make the adapter again.")
    facts = BaseFacts(**data)
    if facts.precision not in get_args(BasePrecision):
        known = ", ".join(get_args(BasePrecision))
        raise UserError(f"{folder / BASE} says precision {facts.precision!r}; wanted one of {known}.")
    return facts


def write_base(folder: Path, facts: BaseFacts) -> None:
    write_text(folder / BASE, json.dumps(asdict(facts), indent=1) + "\n")


def read_updates(folder: Path) -> Iterator[Update]:
    """The updates of an adapter in the order of their modules' names, one in memory at a time.

    Raises UserError for tensors that are no part of a plain LoRA, one without its other half, a rank other than the
    config's, and numbers that are not finite.
    """
    require("safetensors", "torch")
    from safetensors import SafetensorError, safe_open

    spec = LoraSpec.read(folder)
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        raise UserError(f"{folder} holds no {ADAPTER_WEIGHTS}. Save the adapter with safetensors.")
    try:
        with safe_open(str(path), framework="pt") as file:
            for module in _modules(list(file.keys()), path=path):
                a_RI, b_OR = (file.get_tensor(f"{PREFIX}{module}.lora_{half}.weight") for half in "AB")
                update = Update(module, a_RI, b_OR, spec.scaling_of(module))
                _refuse_misshapen(update, rank=spec.rank_of(module), path=path)
                yield update
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}). Make the adapter again.") from None


def apply_adapter(model: "PreTrainedModel", folder: Path) -> "PreTrainedModel":
    """The model with the adapter applied by PEFT, unmerged; its class stays what it was. `model` itself is changed.

    Raises UserError when the adapter does not fit the model: PEFT itself passes over tensors it finds no place for.
    """
    require("peft")
    quiet_bitsandbytes()
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    wanted = {update.module for update in read_updates(folder)}
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers by a name that is going away
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            wrapped = PeftModel.from_pretrained(model, str(folder), torch_device=str(model.device))
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"The adapter {folder} does not fit this {model.config.model_type} model: {reason}") from None
    applied: PreTrainedModel = wrapped.get_base_model()
    placed = {name for name, layer in applied.named_modules() if isinstance(layer, LoraLayer)}
    if placed != wanted:
        stray = min(placed ^ wanted)
        raise UserError(
            f"The adapter {folder} does not fit this {applied.config.model_type} model: {stray} is "
            f"{'adapted by its config and has no weights' if stray in placed else 'updated and not adapted'}."
        )
    applied.eval()
    return applied


def block_linears(model: "PreTrainedModel") -> list[str]:
    """The names of all linear layers inside the decoder's blocks: what LoRA adapts and NF4 quantizes.

    The head is none of them: it may be tied to the input embedding.
    """
    from torch import nn

    head = model.get_output_embeddings()
    return [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and layer is not head]


def block_linears_of(folder: Path) -> list[str]:
    """`block_linears` of a model folder, from its config alone: no weights are read."""
    return block_linears(empty_model(folder))


def quiet_bitsandbytes() -> None:
    """Without its hint at every start that a kernel could be fetched; PEFT imports it wherever it is installed."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _json(path: Path, *, missing: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(missing) from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}). Make the adapter again.") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object. Make the adapter again.")
    return data


def _targets(value: Any) -> tuple[str, ...] | str:
    if isinstance(value, str):
        return value
    return tuple(sorted(str(name) for name in value or ()))


def _extensions(data: Mapping[str, Any]) -> Iterator[str]:
    """Settings under which PEFT computes something else than W + s·B·A, or with other weights than the base's."""
    init = data.get("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(ALTERING_INITS):
        yield f"an initialisation that changes the base (init_lora_weights: {init})"
    for name in (
        *("lora_bias", "fan_in_fan_out", "trainable_token_indices", "target_parameters", "layer_replication"),
        *("alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config", "kasa_config", "velora_config"),
        "monteclora_config",
    ):
        if data.get(name):
            yield name


def _by_pattern(pattern: Mapping[str, Any], module: str, *, default: float) -> float:
    """The first key that the module's name ends with, as PEFT matches them (`peft.utils.other.get_pattern_key`)."""
    for key, value in pattern.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return float(value)
    return default


def _modules(names: Iterable[str], *, path: Path) -> list[str]:
    """The modules of an adapter's tensors; raises UserError unless each has exactly an A and a B."""
    halves: dict[str, set[str]] = {}
    for name in names:
        match = re.fullmatch(rf"{re.escape(PREFIX)}(.+)\.lora_([AB])\.weight", name)
        if match is None:
            raise UserError(
                f"{path} holds the tensor {name}, which is no LoRA update of a linear layer. Train an adapter on "
                "linear layers alone (no DoRA, trained biases, embeddings or whole modules)."
            )
        halves.setdefault(match[1], set()).add(match[2])
    for module, found in halves.items():
        if found != {"A", "B"}:
            raise UserError(f"{path} is incomplete: {module} has only lora_{min(found)}. Make the adapter again.")
    if not halves:
        raise UserError(f"{path} holds no tensors. Make the adapter again.")
    return sorted(halves)


def _refuse_misshapen(update: Update, *, rank: int, path: Path) -> None:
    shapes = tuple(update.a_RI.shape), tuple(update.b_OR.shape)
    if [len(shape) for shape in shapes] != [2, 2] or not shapes[0][0] == shapes[1][1] == rank:
        raise UserError(
            f"{path}: the update of {update.module} has the shapes {shapes[0]} and {shapes[1]}, and its config says "
            f"rank {rank}. The config is not this adapter's: make it again."
        )
    if not (update.a_RI.isfinite().all() and update.b_OR.isfinite().all()):
        raise UserError(f"{path}: the update of {update.module} holds numbers that are not finite. Train it again.")
