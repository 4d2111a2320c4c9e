import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.core.console import Console
from demiurgic.train.components import Component
from demiurgic.train.phases import PhaseNow
from demiurgic.train.record import Announcer, StepRecord, announcement, bar_text, is_due, step_line
from tiny_training import components

KL, CE = components({"use": "forward_kl", "weight": 0.9}, {"use": "cross_entropy", "weight": 0.1})


def record(*asked: Component, raws: tuple[float, ...] = (2.0, 5.0), **more: Any) -> StepRecord:
    asked = asked or (KL, CE)
    total = math.fsum(c.weight * raw for c, raw in zip(asked, raws, strict=True))
    values: dict[str, Any] = {
        "step": 3,
        "num_steps": 40,
        "epoch": 0.5,
        "tokens": 120,
        "learning_rate": 1.2e-6,
        "gradient_norm": 0.7,
        "seconds": 0.01,
        "source": "data",
        "components": asked,
        "raw_K": raws,
        "total": total,
    }
    return StepRecord(**{**values, **more})


weights = st.floats(0, 10, allow_nan=False)
raws = st.floats(0, 1e4, allow_nan=False)


@given(st.lists(st.tuples(weights, raws), min_size=1, max_size=6))
def test_the_total_of_a_line_is_the_sum_of_its_weighted_components_after_json_too(pairs: list[tuple[float, float]]):
    asked = [replace(KL, name=f"kl_{n}", weight=weight) for n, (weight, _) in enumerate(pairs)]
    line = json.loads(json.dumps(step_line(record(*asked, raws=tuple(raw for _, raw in pairs)))))
    assert sum(component["weighted"] for component in line["components"].values()) == line["total"]
    for component in line["components"].values():
        if component["raw"] is not None:
            assert component["weight"] * component["raw"] == component["weighted"]


def test_a_line_whose_parts_are_not_what_was_differentiated_is_refused():
    with pytest.raises(AssertionError, match="was differentiated"):
        step_line(record(total=2.4))


def test_a_component_without_weight_has_no_raw_value():
    line = step_line(record(replace(KL, weight=0.0), CE, raws=(0.0, 5.0)))
    assert line["components"]["forward_kl"] == {"raw": None, "weight": 0.0, "weighted": 0.0}


def test_a_line_holds_phase_norms_and_options_that_follow_a_schedule():
    warm = replace(KL, scheduled={"temperature": 1.5})
    line = step_line(
        record(warm, CE, phase=PhaseNow("warm", 0.25), component_norms={"forward_kl": 0.5}, facts={"written": 7})
    )
    assert line["phase"] == {"name": "warm", "progress": 0.25}
    assert line["components"]["forward_kl"]["options"] == {"temperature": 1.5}
    assert line["components"]["forward_kl"]["gradient_norm"] == 0.5
    assert line["components"]["cross_entropy"]["gradient_norm"] == 0.0
    assert "options" not in line["components"]["cross_entropy"]
    assert line["written"] == 7


def test_the_bar_shows_the_total_of_the_line_and_a_learning_rate_that_can_be_read_while_it_warms_up():
    found = record(phase=PhaseNow("warm", 0.456))
    assert bar_text(found) == "loss 2.3000 · learning rate 1.20e-06 · warm 45 %"
    assert f"{step_line(found)['total']:.4f}" in bar_text(found)


def test_a_small_loss_keeps_its_digits():
    assert bar_text(record(raws=(1e-5, 2e-5))).startswith("loss 1.100e-05 ")


def test_a_line_that_is_said_names_step_phase_and_what_every_weight_is():
    warm = replace(KL, scheduled={"temperature": 1.5})
    assert announcement(record(warm, CE, phase=PhaseNow("warm", 0.5))) == (
        "  step 3 of 40 (7 %) · loss 2.3000 · learning rate 1.20e-06 · warm 50 % · forward_kl 0.9 (temperature 1.5) · "
        "cross_entropy 0.1"
    )
    assert "on its own text" in announcement(record(source="student"))


@pytest.mark.parametrize("num_steps", [1, 9, 30, 200, 1001])
def test_the_first_ten_steps_the_last_and_about_twenty_between_are_said(num_steps: int):
    said = [step for step in range(1, num_steps + 1) if is_due(step, num_steps)]
    assert said[:10] == list(range(1, min(num_steps, 10) + 1))
    assert said[-1] == num_steps
    assert len(said) <= 10 + 20 + 1
    later = [step for step in said if step > 10]
    assert max((b - a for a, b in pairwise(later)), default=0) <= math.ceil(num_steps / 20)


def test_while_the_number_of_steps_is_unknown_the_first_ten_are_said():
    assert [step for step in range(1, 30) if is_due(step, None)] == list(range(1, 11))


class Bar:
    def __init__(self) -> None:
        self.shown: list[str] = []

    def advance(self, amount: float = 1) -> None:
        del amount

    def show(self, text: str) -> None:
        self.shown.append(text)


@pytest.mark.parametrize("live", [False, True])
def test_a_step_that_is_due_is_said_and_every_step_shown_beside_the_bar(capsys: pytest.CaptureFixture[str], live: bool):
    console, bar = Console(), Bar()
    console.live = live
    for step in (3, 39):
        Announcer(console, bar).step(record(step=step, num_steps=1000))
    assert capsys.readouterr().err == announcement(record(num_steps=1000)) + "\n"
    assert bar.shown == [bar_text(record())] * 2
