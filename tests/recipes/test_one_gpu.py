"""The recipes for a 7B or 8B student on one GPU: every step of them, on tiny folders in place of the hub."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import demiurgic
from demiurgic.core.console import Console
from demiurgic.core.errors import RecipeError
from demiurgic.run.context import Context
from pretrained import pretrained
from tiny_models import LINES

RECIPES = Path(__file__).parents[2] / "recipes"
PRESETS = ("40gb", "80gb", "h100", "t4")
TINY = [
    "base.hub=null",
    "base.folder=model",
    "clean.split={by: row, held_out: 0.2, validation: 0.15}",
    "rows.length=128",
    "word.precision=fp32",
    "word.batch=4",
    "student.epochs=null",
    "student.steps=6",
    "student.batch=4",
    "student.warmup_steps=1",
    "student.learning_rate=1e-2",
    "student.lora.rank=4",
    "student.evaluate_every=3",
    "student.compile=false",
    "score.suites.0.length=128",
    "score.suites.1.length=128",
    "forgets.suites.0.length=128",
    "score.gates=[]",
    "forgets.gates=[]",
]
"""The lengths and steps of something that takes seconds; a training so short proves neither gate."""
LLAMA = ["word.teacher={use: served, top_k: 20, provider: {use: transformers, model: base}}"]
"""The student's own start as the service that is asked: what goes over the wire has tests of its own."""
QWEN = ["big.hub=null", "big.folder=larger"]


def conversations(path: Path, ask: str, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            said = [
                {"role": "user", "content": ask.format(number)},
                {"role": "assistant", "content": LINES[number % len(LINES)]},
            ]
            file.write(json.dumps({"messages": said}) + "\n")


NAMES = ("llama_8b", "qwen_7b")
every_recipe = pytest.mark.parametrize("name", NAMES)


@dataclass(frozen=True)
class Walk:
    """A recipe that was run as a person would, with what stands beside their copy of it."""

    folder: Path
    name: str
    overrides: list[str]

    def again(self, *overrides: str, preset: str | None = None) -> dict[str, Any]:
        """Run it over the same store."""
        path = self.folder / f"{self.name}.yaml"
        recipe = demiurgic.load_recipe(path, preset=preset, overrides=[*TINY, *self.overrides, *overrides])
        context = Context(console=Console(quiet=True), base=self.folder, device="cpu")
        outcomes = demiurgic.run_recipe(recipe, store=self.folder / "store", context=context)
        assert [outcome.step for outcome in outcomes] == list(recipe.all_steps)
        return {outcome.step: outcome for outcome in outcomes}


def beside_recipe(folder: Path, name: str) -> Path:
    (folder / f"{name}.yaml").write_text((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    conversations(folder / "rows.jsonl", "Write line {}.", 60)
    conversations(folder / "general.jsonl", "What would you say {} times?", 10)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = beside_recipe(tmp_path_factory.mktemp("llama"), "llama_8b")
    pretrained(folder / "model", "llama3", std=0.04)
    return Walk(folder, "llama_8b", LLAMA)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = beside_recipe(tmp_path_factory.mktemp("qwen"), "qwen_7b")
    pretrained(folder / "model", "qwen2", std=0.04)
    pretrained(folder / "larger", "qwen2", std=0.04, seed=1, num_hidden_layers=3, vocab_size=384)
    return Walk(folder, "qwen_7b", QWEN)


def proven(outcomes: dict[str, Any]) -> None:
    assert {outcome.status for outcome in outcomes.values()} <= {"made", "reused"}
    assert outcomes["merged"].manifest.summary.metrics["kl_share_of_effect"].value <= 0.01
    assert outcomes["file"].manifest.summary.metrics["token_mismatches"].value == 0
    assert {"student_vs_base.bits_per_byte", "student_vs_base.ece"} <= set(outcomes["score"].manifest.summary.metrics)


def test_llama_goes_the_whole_way_from_a_served_teachers_word_to_a_file(llama: Walk):
    outcomes = llama.again(preset="40gb")
    proven(outcomes)
    assert set(outcomes["word"].manifest.parts) == {"top_k"}
    assert outcomes["word"].manifest.summary.metrics["kept_mass"].value > 0.05


def test_qwen_goes_the_whole_way_with_words_drawn_from_a_larger_teacher(qwen: Walk):
    outcomes = qwen.again(preset="80gb")
    proven(outcomes)
    assert set(outcomes["word"].manifest.parts) == {"samples"}


def test_a_machine_that_only_differs_in_size_makes_nothing_again(qwen: Walk):
    qwen.again(preset="80gb")
    outcomes = qwen.again(preset="40gb")
    assert {outcome.status for outcome in outcomes.values()} == {"reused"}


def test_a_base_in_four_bits_goes_the_whole_way_too(qwen: Walk):
    outcomes = qwen.again(preset="t4")
    assert outcomes["student"].manifest.summary.facts["base_precision"] == "nf4"
    proven(outcomes)


def test_a_student_that_forgot_is_not_made_into_a_file(qwen: Walk):
    outcomes = qwen.again("forgets.gates=[{metric: student_vs_base.bits_per_byte, max: -9}]", preset="80gb")
    assert (outcomes["forgets"].status, outcomes["file"].status) == ("rejected", "blocked")


@every_recipe
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_read_and_none_changes_more_than_the_machine_asks_for(name: str, preset: str):
    plain = demiurgic.load_recipe(name).steps["student"].config
    steps = demiurgic.load_recipe(name, preset=preset).steps
    config = steps["student"].config
    assert config.batch % config.micro_batch == 0
    kept = ("batch", "epochs", "learning_rate", "losses", "schedule", "warmup_steps")
    assert all(getattr(config, field) == getattr(plain, field) for field in kept)
    assert (config.lora.rank, config.learning_rate) == (64, 1e-4)
    is_t4 = preset == "t4"
    assert (config.precision == "fp32", config.lora.precision == "nf4") == (is_t4, is_t4)
    assert steps["merged"].config.onto == ("dequantized" if is_t4 else "base")


@every_recipe
def test_a_preset_for_a_machine_it_does_not_know_names_those_it_knows(name: str):
    with pytest.raises(RecipeError, match="Known: 40gb, 80gb, h100, t4"):
        demiurgic.load_recipe(name, preset="24gb")


@every_recipe
def test_the_commented_full_training_reads_as_it_stands(tmp_path: Path, name: str):
    text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    assert "  # full:  {like" in text
    (tmp_path / "full.yaml").write_text(text.replace("  # full:  {like", "  full:  {like"))
    config = demiurgic.load_recipe(tmp_path / "full.yaml").steps["full"].config
    assert (config.lora, config.learning_rate) == (None, 5e-6)
