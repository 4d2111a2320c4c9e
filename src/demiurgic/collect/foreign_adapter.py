"""Whether an adapter belongs to a base: by the digest it was trained on, or, for one from elsewhere, by its shapes."""

import json
from collections.abc import Mapping
from pathlib import Path

from demiurgic.core.artifacts import Model
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.models.lora import ADAPTER_CONFIG, BASE, BaseFacts, LoraSpec, read_base, read_updates, write_base
from demiurgic.models.shards import stored_precision, stored_tensors


def check_adapter(folder: Path, *, base: Model | None) -> Mapping[str, JSON]:
    """What an adapter folder holds; with a base, `base.json` says afterwards for which one it is.

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
        known = _belongs(folder, base, shapes=shapes, trained_on=str(facts["trained_on"]))
    return facts | {
        "base_digest": known.base_digest if known else None,
        "base_source": known.source if known else None,
        "base_proven": known.proven if known else False,
    }


def _belongs(folder: Path, base: Model, *, shapes: Mapping[str, tuple[int, int]], trained_on: str) -> BaseFacts:
    if (folder / BASE).is_file():
        known = read_base(folder)
        if known.base_digest != base.digest:
            raise UserError(
                f"This adapter was trained on {known.source or 'a base'} with the digest {known.base_digest}; base is "
                f"{base.manifest.step}, with the digest {base.digest}. Name the base it was trained on."
            )
        return known
    _refuse_other_shapes(base, shapes=shapes, trained_on=trained_on)
    facts = base.manifest.summary.facts
    source, revision = facts.get("source"), facts.get("revision")
    from_hub = isinstance(source, str) and isinstance(revision, str)
    known = BaseFacts(
        base.digest,
        stored_precision(base.path, modules=list(shapes)),  # type: ignore[arg-type]
        source=str(source) if from_hub else base.manifest.step,
        revision=str(revision) if from_hub else None,
        proven=False,
    )
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
