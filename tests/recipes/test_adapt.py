"""The recipe for an open model and a person's own rows: all four families, from a folder in place of the hub."""

import json
from pathlib import Path

import pytest

import demiurgic
from demiurgic.core.console import Console
from demiurgic.run.context import Context
from pretrained import FAMILIES, Family, pretrained
from tiny_models import LINES

RECIPE = Path(__file__).parents[2] / "recipes" / "adapt.yaml"

SMALL = [
    "base.hub=null",
    "base.revision=null",
    "base.folder=model",
    "rows.length=128",
    "adapter.epochs=null",
    "adapter.steps=6",
    "adapter.batch=2",
    "adapter.micro_batch=1",
    "adapter.warmup_steps=1",
    "adapter.learning_rate=1e-2",
    "adapter.lora={rank: 4}",
    "score.suites=[{use: bits_per_byte, length: 128}]",
    "score.gates=[]",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recipe and rows.jsonl beside it, as a person has it."""
    (tmp_path / "adapt.yaml").write_text(RECIPE.read_text(encoding="utf-8"), encoding="utf-8")
    with (tmp_path / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(100):
            messages = [
                {"role": "user", "content": f"Write line {number}."},
                {"role": "assistant", "content": LINES[number % len(LINES)]},
            ]
            file.write(json.dumps({"messages": messages}) + "\n")
    return tmp_path


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pretrained_folder_goes_the_whole_way_to_a_file(folder: Path, family: Family):
    pretrained(folder / "model", family, std=0.04)
    recipe = demiurgic.load_recipe(folder / "adapt.yaml", overrides=SMALL)
    context = Context(console=Console(quiet=True), base=folder)
    outcomes = {o.step: o for o in demiurgic.run_recipe(recipe, store=folder / "store", context=context)}
    assert {outcome.status for outcome in outcomes.values()} == {"made"}
    file = outcomes["file"].manifest.summary
    assert file.metrics["token_mismatches"].value == 0
    assert file.metrics["kl_to_source"].value <= 2e-2
    assert outcomes["merged"].manifest.summary.metrics["kl_share_of_effect"].value <= 0.01
