"""The bench of the caches: what it measures of a form, and the recipe that it writes for the students."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import demiurgic
from bench_modules import bench
from demiurgic.run.recipe import Recipe
from demiurgic.train.signals.live import LiveTeacher

FORMS = ("hidden", "top_k", "samples")


def made_up(folder: Path, *, num_windows: int):
    """A teacher of 80 words, and random windows for it."""
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(1)
    teacher = LiveTeacher(LlamaForCausalLM(LlamaConfig(vocab_size=80, initializer_range=0.3, **shape)), bf16=False)
    names = bench("logit_cache")
    return names.MadeUp("tiny", teacher, names.random_windows(folder / "windows", num_windows, vocab_size=80))


def test_a_form_is_measured_on_all_windows_also_where_the_last_batch_is_a_rest(tmp_path: Path):
    names = bench("logit_cache")
    tiny = made_up(tmp_path, num_windows=names.BATCH + 1)
    found = {name: names.measured(name, keep, tiny, tmp_path) for name, keep in names.FORMS.items()}
    assert found["hidden fp32"]["bytes/token"] == pytest.approx(16 * 4, rel=0.1)
    assert found["hidden bf16"]["bytes/token"] == pytest.approx(16 * 2, rel=0.2)
    assert found["top_k 12"]["words/token"] == 12
    assert 1 < found["samples 50"]["words/token"] < 50
    assert all(line["read tokens/s"] > 0 < line["capture tokens/s"] for line in found.values())


@pytest.fixture
def students(tmp_path: Path) -> Recipe:
    return demiurgic.load_recipe(bench("logit_cache").write_experiment(tmp_path / "new" / "cache.yaml", [1, 2]))


def test_students_of_a_seed_differ_in_the_form_of_their_teacher_alone(students: Recipe):
    configs = [students.steps[f"{name}[seed=2]"].config for name in ("live", *FORMS)]
    assert len({repr(config.model_copy(update={"teacher": None})) for config in configs}) == 1
    assert [students.steps[f"{name}[seed=2]"].depends_on[-1] for name in ("live", *FORMS)] == [
        "teacher",
        "word_hidden",
        "word_top_k",
        "word_samples[seed=2]",
    ]


def test_every_form_is_compared_with_the_live_teacher_on_both_metrics(students: Recipe):
    config = students.steps["score[seed=1]"].config
    assert {(form, "live") for form in FORMS} <= set(config.compare)
    assert [suite.name for suite in config.suites] == ["bits_per_byte", "calibration"]


def test_a_form_is_kept_once_and_words_are_drawn_for_each_seed(students: Recipe):
    caches = [name for name in students.steps if name.startswith("word_")]
    assert caches == ["word_hidden", "word_top_k", "word_samples[seed=1]", "word_samples[seed=2]"]


def test_the_table_has_a_line_per_metric_and_model():
    from demiurgic.core.metric import Metric

    names = ("live.bits_per_byte", "hidden_vs_live.ece")
    scores = [{name: Metric.exact(value) for name in names} for value in (1.0, 3.0)]
    lines = [
        (line["metric"], line["model or difference"], line["mean"])
        for line in bench("logit_cache").outcome_rows(scores)
    ]
    assert lines == [("bits_per_byte", "live", 2.0), ("ece", "hidden_vs_live", 2.0)]
