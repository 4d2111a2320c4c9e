from collections.abc import Mapping
from typing import Any

import pytest

from demiurgic.train.components import Component
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.losses import LOSSES
from demiurgic.train.phases import Phase, PhaseNow

PHASES = (Phase(name="warm", share=0.5), Phase(name="mix", share=0.5))


def curriculum(*losses: str | Mapping[str, Any], phases: tuple[Phase, ...] = ()) -> Curriculum:
    return Curriculum([LOSSES.choose(loss) for loss in losses], phases)


def weights(found: tuple[Component, ...]) -> list[float]:
    return [component.weight for component in found]


def test_components_are_always_all_losses_in_the_order_of_the_recipe():
    losses = curriculum(
        {"use": "forward_kl", "weight": {"phases": {"warm": 0, "mix": 1}}}, "cross_entropy", phases=PHASES
    )
    for step in range(4):
        found = losses.components(step, num_steps=4, source="data")
        assert [component.name for component in found] == ["forward_kl", "cross_entropy"]
    assert weights(losses.components(0, num_steps=4, source="data")) == [0, 1]
    assert weights(losses.components(3, num_steps=4, source="data")) == [1, 1]


def test_a_loss_is_called_with_a_plain_temperature_and_says_that_it_follows_a_schedule():
    losses = curriculum({"use": "forward_kl", "temperature": {"from": 4, "to": 1}})
    first, last = (losses.components(step, num_steps=3, source="data")[0] for step in (0, 2))
    assert (dict(first.loss.options)["temperature"], dict(last.loss.options)["temperature"]) == (4.0, 1.0)
    assert first.scheduled == {"temperature": 4.0}
    (plain,) = curriculum("forward_kl").components(0, num_steps=3, source="data")
    assert plain.scheduled == {}


def test_the_weights_of_a_step_do_not_depend_on_the_steps_before_it():
    losses = curriculum({"use": "forward_kl", "weight": {"from": 1, "to": 0.2, "shape": "cosine"}}, "cross_entropy")
    all_steps = [losses.components(step, num_steps=9, source="data") for step in range(9)]
    resumed = [losses.components(step, num_steps=9, source="data") for step in range(4, 9)]
    assert resumed == all_steps[4:]


def test_what_the_student_wrote_is_no_label():
    losses = curriculum("cross_entropy", "forward_kl")
    assert weights(losses.components(0, num_steps=2, source="student")) == [0, 1]
    assert weights(losses.components(0, num_steps=2, source="data")) == [1, 1]


def test_a_loss_may_be_asked_of_one_sort_of_text_alone():
    losses = curriculum({"use": "forward_kl", "on": "student"}, {"use": "forward_kl", "on": "data", "weight": 0.5})
    assert weights(losses.components(0, num_steps=2, source="student")) == [1, 0]
    assert weights(losses.components(0, num_steps=2, source="data")) == [0, 0.5]


def test_a_balanced_loss_settles_at_its_share_of_the_total():
    losses = curriculum({"use": "forward_kl", "weight": {"balance": 0.25}}, "cross_entropy")
    balance: dict[str, float] = {}
    for step in range(50):
        found = losses.components(step, num_steps=50, source="data", balance=balance)
        balance = losses.balance_after(balance, found, [20.0, 3.0], source="data")
    kl, ce = weights(losses.components(50, num_steps=51, source="data", balance=balance))
    assert 20 * kl / (20 * kl + 3 * ce) == pytest.approx(0.25)


def test_the_state_of_balanced_weights_goes_on_where_it_stopped():
    losses = curriculum({"use": "forward_kl", "weight": {"balance": 0.25}}, "cross_entropy")

    def run(steps: range, balance: dict[str, float]) -> tuple[list[list[float]], dict[str, float]]:
        found = []
        for step in steps:
            now = losses.components(step, num_steps=9, source="data", balance=balance)
            balance = losses.balance_after(balance, now, [step + 1.0, 3.0], source="data")
            found.append(weights(now))
        return found, balance

    whole, _ = run(range(9), {})
    first, saved = run(range(4), {})
    second, _ = run(range(4, 9), saved)
    assert first + second == whole


def test_a_loss_that_is_off_is_not_measured():
    losses = curriculum({"use": "forward_kl", "weight": {"balance": 0.25}}, "cross_entropy")
    found = losses.components(0, num_steps=2, source="student")
    assert weights(found) == [0, 0]
    assert losses.balance_after({}, found, [0.0, 0.0], source="student") == {}


def test_without_balanced_weights_there_is_no_state():
    losses = curriculum("cross_entropy")
    assert losses.balance_after({}, losses.components(0, num_steps=2, source="data"), [3.0], source="data") == {}


def test_the_phase_of_a_step_is_known_with_how_far_it_has_come():
    losses = curriculum("cross_entropy", phases=PHASES)
    assert losses.phase(4, num_steps=10) == PhaseNow("warm", 1.0)
    assert losses.phase(7, num_steps=10) == PhaseNow("mix", 0.5)
    assert curriculum("cross_entropy").phase(3, num_steps=10) is None


def test_another_number_of_the_recipe_follows_the_same_phases():
    from demiurgic.train.on_policy import OnPolicy

    share = OnPolicy.model_validate({"share": {"phases": {"warm": 0, "mix": {"from": 0.2, "to": 1}}}}).share
    losses = curriculum("cross_entropy", phases=PHASES)
    assert [losses.number(share, step, num_steps=6) for step in range(6)] == pytest.approx([0, 0, 0, 0.2, 0.6, 1])
