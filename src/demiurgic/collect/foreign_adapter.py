"""Whether an adapter belongs to a base: by the digest it was trained on, or, for one from elsewhere, by its shapes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from demiurgic.core.artifacts import Model
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.models.belongs import refuse_other_base
from demiurgic.models.lora import ADAPTER_CONFIG, BASE, BaseFacts, LoraSpec, read_base, read_updates, write_base
from demiurgic.models.shards import stored_precision, stored_tensors

FOUR_BITS = re.compile(r"(?i)(4[-_]?bit|nf4)$")
"""How the names of quantized copies end: `bnb-4bit`."""


def check_adapter(folder: Path, *, base: Model | None, precision: Literal["nf4"] | None = None) -> Mapping[str, JSON]:
    """What an adapter folder holds; with a base, `base.json` says afterwards for which one it is.

    `precision` is what the base of a foreign adapter was held in while it was trained; None is what it is stored in.
    Raises UserError for what is no whole LoRA adapter, and for one that is not for this base.
    """
    spec = LoraSpec.read(folder)
    shapes = {u.module: (u.b_OR.shape[0], u.a_RI.shape[1]) for u in read_updates(folder)}
    facts: dict[str, JSON] = {
        "rank": spec.rank,
        "alpha": spec.alpha,
        "modules": len(shapes),
        "trained_on": str(
            json.loads((folder / ADAPTER_CONFIG).read_text("utf-8")).get("base_model_name_or_path") or ""
        ),
    }
    if base is None:
        known = read_base(folder) if (folder / BASE).is_file() else None
    else:
        known = _belongs(folder, base, shapes=shapes, trained_on=str(facts["trained_on"]), precision=precision)
    return facts | {
        "base_digest": known.base_digest if known else None,
        "base_source": (known.source if known else None) or (base.manifest.step if base else None),
        "base_precision": known.precision if known else None,
        "base_proven": known.proven if known else False,
    }


def _belongs(
    folder: Path,
    base: Model,
    *,
    shapes: Mapping[str, tuple[int, int]],
    trained_on: str,
    precision: Literal["nf4"] | None,
) -> BaseFacts:
    if (folder / BASE).is_file():
        known = refuse_other_base(folder, base)
        if precision not in (None, known.precision):
            raise UserError(
                f"This adapter was trained on a base in {known.precision}, as its {BASE} says; precision is "
                f"{precision}. Leave precision away."
            )
        return known
    if precision is None and FOUR_BITS.search(trained_on):
        raise UserError(
            f"This adapter names {trained_on} as its base, one in 4 bits, and merge would add it to other weights than "
            "it was trained on. If they were quantized by bitsandbytes, say precision: nf4; an adapter for any other "
            "quantization cannot be used."
        )
    _refuse_other_shapes(base, shapes=shapes, trained_on=trained_on)
    held = precision or stored_precision(base.path, modules=list(shapes))
    known = BaseFacts.of(base, held, proven=False)  # type: ignore[arg-type]
    write_base(folder, known)
    return known


def _refuse_other_shapes(base: Model, *, shapes: Mapping[str, tuple[int, int]], trained_on: str) -> None:
    tensors = stored_tensors(base.path)
    for module, shape in shapes.items():
        stored = tensors.get(f"{module}.weight")
        if stored is None or stored.shape != shape:
            has = f"is {list(stored.shape)} there" if stored else "is not there"
            raise UserError(
                f"This adapter is for another base than {base.manifest.step}: it updates {module} of the shape "
                f"{list(shape)}, which {has}. It names {trained_on or 'no model'} as its base: fetch "
                "that one and name it as base."
            )
