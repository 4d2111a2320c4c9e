from itertools import pairwise
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from demiurgic.train.losses import Temperature
from demiurgic.train.phases import Phase, phase_at, phase_starts, problem_of_phases
from demiurgic.train.scheduled import (
    Number,
    Ramp,
    Scheduled,
    number_at,
    numbers_in,
    problem_of_number,
    turning_points,
)

READ = TypeAdapter(Temperature)

values = st.floats(0.01, 100, allow_nan=False)
windows = st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted).filter(lambda w: w[1] - w[0] > 1e-3)
ramps = st.builds(
    lambda start, to, shape, window: Ramp(from_=start, to=to, shape=shape, start=window[0], end=window[1]),
    values,
    values,
    st.sampled_from(["linear", "cosine"]),
    windows,
)
shares = st.lists(st.floats(0.05, 1), min_size=1, max_size=4).map(lambda found: [share / sum(found) for share in found])
phases = shares.map(lambda found: [Phase(name=f"p{n}", share=share) for n, share in enumerate(found)])


def path(value: Number, num_steps: int, parts: list[Phase] | None = None) -> list[float]:
    return [number_at(value, step, num_steps=num_steps, phases=parts or []) for step in range(num_steps)]


@given(ramps, st.integers(1, 60))
def test_a_ramp_stays_between_its_ends_and_moves_one_way(ramp: Ramp, num_steps: int):
    found = path(ramp, num_steps)
    assert all(min(ramp.from_, ramp.to) <= value <= max(ramp.from_, ramp.to) for value in found)
    assert found == sorted(found, reverse=ramp.to < ramp.from_)


@given(values, values, st.sampled_from(["linear", "cosine"]), st.integers(2, 60))
def test_a_ramp_over_the_whole_training_has_its_end_values_at_the_first_and_the_last_step(
    first: float, last: float, shape: str, num_steps: int
):
    found = path(READ.validate_python({"from": first, "to": last, "shape": shape}), num_steps)
    assert (found[0], found[-1]) == (first, last)


@given(ramps, st.integers(20, 400))
def test_a_ramp_takes_no_step_larger_than_its_slope(ramp: Ramp, num_steps: int):
    found = path(ramp, num_steps)
    slope = abs(ramp.to - ramp.from_) / (ramp.end - ramp.start) * 1.6  # half of pi, for a cosine
    assert max(abs(b - a) for a, b in pairwise(found)) <= slope / (num_steps - 1) + 1e-9


def test_a_ramp_holds_its_end_values_outside_of_its_window():
    found = path(READ.validate_python({"from": 1, "to": 3, "start": 0.25, "end": 0.75}), 9)
    assert found == [1, 1, 1, 1.5, 2, 2.5, 3, 3, 3]


def test_a_cosine_is_half_way_in_the_middle_and_slow_at_its_ends():
    found = path(READ.validate_python({"from": 1, "to": 3, "shape": "cosine"}), 5)
    assert found[2] == pytest.approx(2)
    assert found[1] == pytest.approx(1 + 2 * 0.1464466)


def test_a_number_is_the_same_at_every_step_even_while_their_number_is_unknown():
    assert number_at(2.0, 7, num_steps=None) == 2.0


WARM_AND_MIX = [Phase(name="warm", share=0.25), Phase(name="mix", share=0.75)]


def test_a_phase_has_its_own_value_and_a_ramp_in_it_counts_in_shares_of_the_phase():
    value = READ.validate_python({"phases": {"warm": 4, "mix": {"from": 3, "to": 1, "start": 0.5}}})
    assert path(value, 8, WARM_AND_MIX) == pytest.approx([4, 4, 3, 3, 3, 2.6, 1.8, 1])


@given(phases, st.integers(1, 300))
def test_phases_share_out_all_steps_in_order_and_each_gets_at_least_one(parts: list[Phase], num_steps: int):
    if problem_of_phases(parts, num_steps) is not None:
        assert min(part.share for part in parts) * num_steps < 2
        return
    names = [phase_at(parts, step, num_steps=num_steps).name for step in range(num_steps)]
    assert sorted(names) == names
    for part in parts:
        assert abs(names.count(part.name) - part.share * num_steps) <= 1
        assert names.count(part.name) >= 1


@given(phases, st.integers(20, 300))
def test_a_phase_begins_at_0_and_ends_at_1(parts: list[Phase], num_steps: int):
    if problem_of_phases(parts, num_steps) is not None:
        return
    starts = [*phase_starts(parts, num_steps), num_steps]
    for first, past in pairwise(starts):
        assert phase_at(parts, first, num_steps=num_steps).progress == 0
        assert phase_at(parts, past - 1, num_steps=num_steps).progress == (1 if past - first > 1 else 0)


@given(ramps, st.integers(1, 80))
@settings(max_examples=200)
def test_between_two_turning_points_a_ramp_is_constant_or_moves_one_way(ramp: Ramp, num_steps: int):
    found, points = path(ramp, num_steps), sorted(set(turning_points(ramp, num_steps=num_steps)))
    assert (points[0], points[-1]) == (0, num_steps - 1)
    for first, last in pairwise(points):
        between = found[first : last + 1]
        assert len(set(between)) == 1 or between in (sorted(between), sorted(between, reverse=True))


@given(ramps)
def test_what_is_written_reads_the_same(ramp: Ramp):
    assert READ.validate_python(READ.dump_python(ramp, mode="json")) == ramp
    assert set(READ.dump_python(ramp, mode="json")) == {"from", "to", "shape", "start", "end"}


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ({"from": 0, "to": 1}, "from: Input should be greater than or equal to 0.001; found 0.0"),
        ({"phases": {"a": 1, "b": -1}}, "phases.b: Input should be greater than or equal to 0.001; found -1"),
        ({"phases": {"a": {"from": 1, "to": 0}}}, "phases.a.to: Input should be greater than or equal to 0.001"),
        ({"phases": {}}, "at least 1 item"),
        ({"to": 1}, "from: Field required"),
        ({"from": 1, "to": 2, "shap": "cosine"}, "shap: Extra inputs are not permitted"),
        ({"from": 1, "to": 2, "shape": "cubic"}, "'linear' or 'cosine'"),
        ({"from": 1, "to": 2, "start": 0.6, "end": 0.5}, "start (0.6) is not before end (0.5)"),
        ({"from": 1, "to": float("inf")}, "finite"),
        ({"balance": 0.3}, "balance is for weights"),
        (0, "greater than or equal to 0.001"),
        ([1], "valid number"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(written: Any, wrong: str):
    with pytest.raises(ValidationError, match=wrong.replace("(", r"\(").replace(")", r"\)")):
        READ.validate_python(written)


def test_a_balanced_weight_is_a_share_of_the_total():
    adapter = TypeAdapter(Annotated[float, Scheduled(ge=0, balance=True)])
    assert numbers_in(adapter.validate_python({"balance": 0.3})) == [0.3]
    with pytest.raises(ValidationError, match="less than 1"):
        adapter.validate_python({"balance": 1.0})


def test_a_phase_without_a_value_and_a_value_without_a_phase_are_named():
    assert "no value for the phase mix" in str(
        problem_of_number(READ.validate_python({"phases": {"warm": 1}}), WARM_AND_MIX)
    )
    said = str(problem_of_number(READ.validate_python({"phases": {"warm": 1, "mixx": 2}}), WARM_AND_MIX))
    assert "mixx, which is no phase" in said
    assert 'Did you mean "mix"?' in said
    assert "the training has none; set phases" in str(
        problem_of_number(READ.validate_python({"phases": {"warm": 1}}), [])
    )


def test_phases_that_do_not_fit_are_named():
    assert "sum to 0.9" in str(problem_of_phases([Phase(name="a", share=0.4), Phase(name="b", share=0.5)], None))
    assert "two phases are called a" in str(problem_of_phases([Phase(name="a", share=0.5)] * 2, None))
    short = [Phase(name="a", share=0.01), Phase(name="b", share=0.99)]
    assert "phase a is 0.01 of 20 steps" in str(problem_of_phases(short, 20))
    assert problem_of_phases(short, 100) is None
