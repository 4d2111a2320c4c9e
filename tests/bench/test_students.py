"""The bench of students: the recipe it writes to hold own text against the data."""

from pathlib import Path

import pytest

import demiurgic
from bench_modules import bench
from demiurgic.run.recipe import Recipe


@pytest.fixture
def on_policy(tmp_path: Path) -> Recipe:
    return demiurgic.load_recipe(bench("students").write_on_policy(tmp_path / "on.yaml", [1, 2], steps=30))


def test_every_way_to_go_on_starts_from_the_student_of_its_seed(on_policy: Recipe):
    for name in ("off_policy", "mixed", "on_policy"):
        for kind in ("forward_kl", "reverse_kl"):
            step = on_policy.steps[f"{name}_{kind}[seed=2]"]
            assert step.depends_on == ("student[seed=2]", "asked", "teacher")


def test_they_differ_in_the_share_of_own_text_alone(on_policy: Recipe):
    configs = [on_policy.steps[f"{name}_reverse_kl[seed=1]"].config for name in ("off_policy", "mixed", "on_policy")]
    shares = [config.on_policy.share if config.on_policy else 0 for config in configs]
    assert shares == [0, 0.5, 1]
    assert len({repr(config.model_copy(update={"on_policy": None})) for config in configs}) == 1
    assert {config.steps for config in configs} == {30}


def test_what_they_write_goes_on_from_prompts(on_policy: Recipe):
    assert on_policy.steps["asked"].config.loss_on == "answers"


def test_each_is_scored_against_the_data_alone(on_policy: Recipe):
    config = on_policy.steps["score[seed=1]"].config
    assert ("mixed_forward_kl", "off_policy_forward_kl") in config.compare
    assert len(config.models) == 7


def test_the_table_has_a_mean_over_seeds_with_its_interval():
    from demiurgic.core.metric import Metric

    values = {f"score[seed={n}]": {"start.bits_per_byte": Metric.exact(1.0 + n)} for n in (1, 2, 3)}
    (line,) = bench("students").table(values, models=["start"], differences=["start_vs_end"])
    assert (line["metric"], line["mean"]) == ("bits_per_byte", 3.0)
    assert line["low"] < 3 < line["high"]
