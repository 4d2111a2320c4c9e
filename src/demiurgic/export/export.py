"""The stage `export`: a model or an adapter as one GGUF file, which is published only if it is proven to be its source.

Writing stands in `models/gguf/write.py`, the proof in `models/gguf/verify.py`; here a config is turned into both.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, NonNegativeInt, PositiveFloat, model_validator

from demiurgic.core.artifacts import Adapter, Either, Gguf, Model, Tokens
from demiurgic.core.errors import UserError, unknown
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.export.fit import refuse_quantized_base, windows_for
from demiurgic.export.source import is_adapter, origins
from demiurgic.models.gguf.adapter import ADAPTER_TYPES
from demiurgic.models.gguf.types import FILE_TYPES
from demiurgic.run.context import Context
from demiurgic.run.engine import usable_cores
from demiurgic.run.stage import Stage, StageConfig

if TYPE_CHECKING:
    from demiurgic.models.gguf.limits import Limit
    from demiurgic.models.gguf.verdict import Verified
    from demiurgic.models.gguf.write import Written
    from demiurgic.models.windows import Windows

VERIFICATION = "verification.json"
TENSORS = "tensors.json"
NAME_DIGITS = 12


def _known_type(name: str) -> str:
    if name not in FILE_TYPES:
        raise ValueError(unknown("GGUF type", name, FILE_TYPES))
    return name


def _plain_name(name: str) -> str:
    from demiurgic.models.gguf.vocabulary import refuse_telling_name

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f'"{name}" is no plain name; use letters, digits, and . _ - between them')
    try:
        refuse_telling_name(name)
    except UserError as error:
        raise ValueError(str(error)) from None
    return name


class ExportConfig(StageConfig):
    """What to export, as what, and how near it must be."""

    model: Either[Model | Adapter]
    base: Model | None = None
    """The model that an adapter was trained on."""
    format: Literal["gguf"] = "gguf"
    type: Annotated[str, AfterValidator(_known_type)]
    """A type of GGUF file, such as `q4_k_m`; for an adapter f32 or f16."""
    data: Tokens | None = None
    """What to compare file and source on, in the model's own tokens; texts of this package's own by default."""
    name: Annotated[str, AfterValidator(_plain_name)] | None = None
    """What the file calls itself, and its name up to the type; by default the first digits of the model's digest, so
    that equal contents make equal files whatever their steps are called."""
    max_kl: PositiveFloat | None = None
    """The largest mean KL to the source, in nats per token, in place of the one that is usual for the type."""
    max_token_mismatches: NonNegativeInt = 0
    """How many of the compared texts may have other token ids, where llama.cpp reads a tokenizer otherwise."""

    @model_validator(mode="after")
    def _base_belongs_to_an_adapter(self) -> Self:
        if is_adapter(self.model) and self.base is None:
            raise ValueError("an adapter is verified on the model it was trained on; set base to that model")
        if not is_adapter(self.model) and self.base is not None:
            raise ValueError("base belongs to an adapter, and model is a whole model; leave base out")
        return self

    @model_validator(mode="after")
    def _type_fits(self) -> Self:
        if is_adapter(self.model) and self.type not in ADAPTER_TYPES:
            raise ValueError(f"an adapter is small and is not quantized; set type to {' or '.join(ADAPTER_TYPES)}")
        return self

    @property
    def file_name(self) -> str:
        """What the file is called, without its type."""
        return self.name or self.model.digest[:NAME_DIGITS]

    @property
    def source(self) -> Model:
        """The model whose tokenizer and architecture the file has: an adapter's is its base's."""
        return self.model if self.base is None else self.base  # type: ignore[return-value]


def run(config: ExportConfig, out: Path, context: Context) -> Summary:
    """Write a model or an adapter as a GGUF file, and prove that the file is its source."""
    windows = windows_for(config.source, config.data) if config.data is not None else None
    if isinstance(config.model, Adapter):
        refuse_quantized_base(config.model, base=config.source)
    part = out / "gguf"
    part.mkdir()
    file = part / f"{config.file_name}-{config.type}.gguf"
    export = _write_adapter if is_adapter(config.model) else _write_model
    made = export(config, file, out, context)
    write_text(out / TENSORS, json.dumps(dict(made.written.tensor_types), indent=1) + "\n")
    try:
        return _proven(config, made, out, context, windows=windows)
    finally:
        if made.base_file is not None:
            made.base_file.unlink()


@dataclass(frozen=True)
class _Made:
    """A file that was written, and what it takes to run it."""

    written: "Written"
    seconds: float
    base_file: Path | None = None
    """The base in f32, beside an adapter; it is deleted after the proof."""


def _write_model(config: ExportConfig, file: Path, out: Path, context: Context) -> _Made:
    from demiurgic.models.gguf.tensors import source_bytes
    from demiurgic.models.gguf.write import write_gguf

    del out
    started = time.perf_counter()
    with context.console.progress("write", source_bytes(config.source.path)) as bar:
        written = write_gguf(
            config.source.path,
            file,
            type=config.type,
            name=config.file_name,
            workers=_cores(context),
            progress=bar,
        )
    return _Made(written, time.perf_counter() - started)


def _write_adapter(config: ExportConfig, file: Path, out: Path, context: Context) -> _Made:
    """The adapter's own file, and the base in f32, in which a file differs from its source by nothing but rounding."""
    from demiurgic.models.gguf.adapter import write_adapter_gguf
    from demiurgic.models.gguf.write import write_gguf

    started = time.perf_counter()
    written = write_adapter_gguf(config.model.path, config.source.path, file, type=config.type, name=config.file_name)
    seconds = time.perf_counter() - started
    base_file = out / "base.gguf"
    write_gguf(config.source.path, base_file, type="f32", name="base", workers=_cores(context))
    return _Made(written, seconds, base_file)


def _proven(config: ExportConfig, made: _Made, out: Path, context: Context, *, windows: "Windows | None") -> Summary:
    """The summary of a file that is its source; raises UserError for one that is not."""
    from demiurgic.models.gguf.threads import threads_for
    from demiurgic.models.gguf.verify import AdapterFiles, verify
    from demiurgic.models.load import resolve_device

    file = made.written.file
    adapter = AdapterFiles(config.model.path, file) if made.base_file is not None else None
    started = time.perf_counter()
    context.console.say(f"  comparing {file.name} with its source")
    runs = made.base_file or file
    verified = verify(
        runs,
        config.source.path,
        windows=windows,
        adapter=adapter,
        threads=context.engine.workers or threads_for(runs, cores=usable_cores()),
        device=str(resolve_device(context.device)),
        scratch=out,
    )
    seconds = {"write_seconds": made.seconds, "verify_seconds": time.perf_counter() - started}
    limit = _limit(config)
    misses = verified.misses(limit)
    summary = _summary(config, made.written, verified, limit, seconds=seconds)
    write_text(out / VERIFICATION, json.dumps({**summary.to_json(), "misses": misses}, indent=1) + "\n")
    if misses:
        raise UserError(
            f"{file.name}, made of {config.model.manifest.step}, is not its source: {'; '.join(misses)}. It is not "
            f"published; it lies in {file.parent}, with all figures in {VERIFICATION} beside. "
            f"{advice(config, verified, limit)}"
        )
    return summary


def _summary(
    config: ExportConfig,
    written: "Written",
    verified: "Verified",
    limit: "Limit",
    *,
    seconds: Mapping[str, float],
) -> Summary:
    stored = sum(path.stat().st_size for path in config.model.path.glob("*.safetensors"))
    counted: dict[str, float] = {
        "max_kl": verified.divergence.max_kl,
        "positions": verified.divergence.positions,
        "top1": verified.divergence.top1,
        "clear_top1": verified.clear_top1,
        "greedy_equal": verified.greedy.share,
        "token_texts": verified.tokens.texts,
        "token_mismatches": verified.tokens.mismatches,
        "header_fields": verified.header.fields,
        "bits_per_weight": written.bits_per_weight,
        "file_bytes": written.num_bytes,
        "source_bytes": stored,
        "ratio": stored / written.num_bytes,
        **seconds,
    }
    if verified.far_kl is not None:
        counted["far_kl"] = verified.far_kl
    if verified.running_kl is not None and verified.weights is not None:
        counted |= {"running_kl": verified.running_kl, "furthest_tensor_error": verified.weights.error}
    if verified.effect_kl and verified.share_of_effect is not None:
        counted |= {"effect_kl": verified.effect_kl, "kl_share_of_effect": verified.share_of_effect}
    facts: dict[str, JSON] = {
        "type": config.type,
        "limit": limit.max_kl,
        "own_limit": config.max_kl is not None,
        "compared_on": "data" if config.data is not None else "own texts",
        "tensor_types": dict(Counter(written.tensor_types.values())),
        "greedy": {"prompts": verified.greedy.prompts, "equal": verified.greedy.equal, "tied": verified.greedy.tied},
        "first_token_mismatch": verified.tokens.first,
        "origins": origins(config.model.manifest),
        "versions": {name: version(name) for name in ("gguf", "xllamacpp")},
    }
    exact = {name: Metric.exact(value) for name, value in counted.items()}
    return Summary({"kl_to_source": verified.kl, **exact}, facts)


def _limit(config: ExportConfig) -> "Limit":
    from demiurgic.models.gguf.limits import ADAPTER, limit_of

    type = ADAPTER if is_adapter(config.model) else config.type
    return limit_of(type, max_kl=config.max_kl, max_token_mismatches=config.max_token_mismatches)


def advice(config: ExportConfig, verified: "Verified", limit: "Limit") -> str:
    """What to do about a file that is not its source, by the figures that say so."""
    if verified.tokens.mismatches > limit.max_token_mismatches:
        return (
            "llama.cpp reads this tokenizer in another way, and gives the model other tokens than it was trained on "
            f"wherever texts are like the one shown{_known_difference(config)}. If yours never are, state it as "
            "max_token_mismatches."
        )
    if verified.effect_kl == 0:
        return "Train it first, or export its base."
    if len(verified.misses(limit)) > 1 or not verified.loses_too_much(limit) or config.type in ADAPTER_TYPES:
        return (
            "This is more than the loss of a type, so the export is at fault, and no limit makes it right: report it."
        )
    return _other_type_or_limit(config.type)


def _other_type_or_limit(type: str) -> str:
    from demiurgic.models.gguf.limits import PUBLISHED

    finer = list(FILE_TYPES)[: list(FILE_TYPES).index(type)][-3:]
    known = type if type in PUBLISHED else "q4_k_m"
    return (
        f"Take a finer type ({', '.join(finer)}), or, if this much loss is known and accepted, state it as max_kl. "
        "Models of billions of parameters, trained on very many tokens, usually need that: llama.cpp's own figure for "
        f"Llama-3-8B in {known} is {PUBLISHED[known]:.1e}."
    )


def _known_difference(config: ExportConfig) -> str:
    from demiurgic.models.gguf.vocabulary import differs_on

    where = differs_on(config.source.path)
    return f" (it is known to differ on {where})" if where else ""


def _cores(context: Context) -> int:
    return context.engine.workers or usable_cores()


STAGE = Stage(
    "export",
    ExportConfig,
    run,
    makes={"gguf": Gguf},
    publishes=True,
    needs=("torch", "transformers", "safetensors", "gguf", "xllamacpp"),
)
