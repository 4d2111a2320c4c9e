"""The stage in a recipe: the references resolve, for adapters as for models, and a gate on the distance decides."""

import shutil
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Adapter, Model
from demiurgic.core.metric import Summary
from demiurgic.export.export import STAGE
from demiurgic.models.lora import BaseFacts, write_base
from demiurgic.run.context import Context
from demiurgic.run.engine import Engine
from demiurgic.run.recipe import load_recipe
from demiurgic.run.runner import run_recipe
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.run.store import Store
from pretrained import pretrained
from tiny_adapters import peft_adapter, pretrained_base
from tiny_training import quiet

RECIPE = """
steps:
  start: {use: brought}
  helper: {use: tuned, base: start}
  file: {use: export, model: start, type: q8_0, gates: [{metric: kl_to_source, max: 0.001}]}
  worse: {use: export, model: start, type: q4_k_m, gates: [{metric: kl_to_source, max: 0.001}]}
  style: {use: export, model: helper, base: start, type: f16, requires: file}
"""


class TunedConfig(StageConfig):
    base: Model


def stages(tmp_path: Path) -> dict[str, Stage[Any]]:
    def brought(config: StageConfig, out: Path, context: Context) -> Summary:
        pretrained(out / "model", std=0.04)
        return Summary()

    def tuned(config: TunedConfig, out: Path, context: Context) -> Summary:
        made = peft_adapter(tmp_path / "adapters", pretrained_base(tmp_path / "same", std=0.04))
        shutil.copytree(made, out / "adapter")
        write_base(out / "adapter", BaseFacts(config.base.digest, "fp32"))
        return Summary()

    found: list[Stage[Any]] = [
        Stage("brought", StageConfig, brought, makes={"model": Model}),
        Stage("tuned", TunedConfig, tuned, makes={"adapter": Adapter}),
        STAGE,
    ]
    return {stage.name: stage for stage in found}


def test_exports_are_made_gated_and_reused(tmp_path: Path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.yaml", stages(tmp_path))
    store = Store(tmp_path / "store")
    context = quiet(engine=Engine(workers=1))
    outcomes = {outcome.step: outcome for outcome in run_recipe(recipe, store, context=context)}
    statuses = {name: outcome.status for name, outcome in outcomes.items()}
    assert statuses == dict.fromkeys(("start", "helper", "file", "style"), "made") | {"worse": "rejected"}
    assert "kl_to_source" in str(outcomes["worse"].verdicts[0])
    again = {outcome.step: outcome.status for outcome in run_recipe(recipe, store, context=context)}
    assert again["file"] == again["style"] == "reused"
