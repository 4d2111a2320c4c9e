import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.train.balance import DECAY, LIMIT, State, balanced_weight, measured

sizes = st.floats(0.05, 50, allow_nan=False)


def after(*steps: dict[str, float]) -> State:
    """The state after steps in which the losses had these raw values."""
    state: State = {}
    for raws in steps:
        state = measured(state, list(raws), list(raws.values()), source="data")
    return state


def weight(name: str, share: float, others: dict[str, float], state: State, *, source: str = "data") -> float:
    return balanced_weight(name, share=share, all_shares=share, others=others, source=source, state=state)


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=12), st.floats(0.05, 0.95), st.floats(0.1, 5))
def test_the_weighted_mean_of_a_balanced_loss_is_its_share_of_the_sum(
    raws: list[tuple[float, float]], share: float, other_weight: float
):
    state = after(*({"kl": kl, "ce": ce} for kl, ce in raws))
    balanced = weight("kl", share, {"ce": other_weight}, state) * state["data/kl/mean"]
    total = balanced + other_weight * state["data/ce/mean"]
    assert balanced == pytest.approx(share * total)


@given(st.lists(sizes, min_size=1, max_size=30))
def test_the_running_mean_is_an_exponential_one_with_its_bias_corrected(raws: list[float]):
    state = after(*({"kl": raw} for raw in raws))
    plain = 0.0
    for raw in raws:
        plain = DECAY * plain + (1 - DECAY) * raw
    assert state["data/kl/mean"] == pytest.approx(plain / (1 - DECAY ** len(raws)))


def test_at_the_first_step_all_losses_count_as_equally_large():
    assert weight("kl", 0.25, {"ce": 0.9}, {}) == pytest.approx(0.25 / 0.75 * 0.9)


def test_two_balanced_losses_each_get_their_share():
    state = after({"kl": 2.0, "mse": 50.0, "ce": 3.0})
    weights = {
        name: balanced_weight(name, share=share, all_shares=0.6, others={"ce": 1.0}, source="data", state=state)
        for name, share in {"kl": 0.4, "mse": 0.2}.items()
    }
    total = weights["kl"] * 2 + weights["mse"] * 50 + 3
    assert weights["kl"] * 2 / total == pytest.approx(0.4)
    assert weights["mse"] * 50 / total == pytest.approx(0.2)


def test_a_loss_that_has_reached_0_is_not_multiplied_by_infinity():
    assert weight("kl", 0.5, {"ce": 1.0}, after({"kl": 0.0, "ce": 2.0})) == pytest.approx(LIMIT)


def test_the_students_text_has_means_of_its_own():
    state = after({"kl": 5.0, "ce": 1.0})
    assert weight("kl", 0.5, {"ce": 1.0}, state, source="student") == 1.0
    assert weight("kl", 0.5, {"ce": 1.0}, state, source="data") == pytest.approx(0.2)


def test_a_loss_that_was_not_asked_keeps_its_mean():
    state = after({"kl": 5.0, "ce": 1.0})
    later = measured(state, ["ce"], [9.0], source="data")
    assert later["data/kl/mean"] == 5.0
    assert state["data/ce/mean"] == 1.0
