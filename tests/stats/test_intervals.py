import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.core.errors import UserError
from demiurgic.stats.intervals import incomplete_beta, mean, share, t_quantile


@pytest.mark.parametrize(
    ("degrees", "probability", "t"),
    [  # NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2, and the closed forms for 1 and 2 degrees
        (1, 0.975, 12.706204736),
        (2, 0.975, 4.302652730),
        (3, 0.975, 3.182446305),
        (4, 0.975, 2.776445105),
        (5, 0.95, 2.015048373),
        (10, 0.975, 2.228138852),
        (30, 0.975, 2.042272456),
        (100, 0.995, 2.625890522),
        (4, 0.5, 0.0),
    ],
)
def test_t_quantiles_are_those_of_the_tables(degrees: int, probability: float, t: float) -> None:
    assert t_quantile(probability, degrees=degrees) == pytest.approx(t, abs=1e-6)


def test_the_t_quantile_of_many_degrees_is_the_normal_one() -> None:
    assert t_quantile(0.975, degrees=1e7) == pytest.approx(1.959964, abs=1e-6)


@given(probability=st.floats(0.001, 0.999), degrees=st.floats(0.5, 500))
def test_t_quantiles_are_symmetric_about_zero(probability: float, degrees: float) -> None:
    assert t_quantile(probability, degrees=degrees) == pytest.approx(
        -t_quantile(1 - probability, degrees=degrees), rel=1e-6
    )


def test_the_incomplete_beta_function_has_its_closed_forms() -> None:
    assert incomplete_beta(0.3, 1, 1) == pytest.approx(0.3)
    assert incomplete_beta(0.3, 2, 1) == pytest.approx(0.3**2)
    assert incomplete_beta(0.3, 1, 3) == pytest.approx(1 - 0.7**3)


def test_a_share_has_the_wilson_interval() -> None:
    half = share(5, 10)
    assert (half.value, half.n) == (0.5, 10)
    # Agresti & Coull 1998 give Wilson's interval of 5 in 10 as (0.237, 0.763).
    assert (half.low, half.high) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))


def test_a_share_of_none_right_still_has_room_above() -> None:
    none = share(0, 20)
    assert none.low == 0.0
    assert none.high == pytest.approx(0.1611, abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval_and_both_lie_between_zero_and_one(counts: tuple[int, int]) -> None:
    metric = share(*counts)
    assert 0 <= metric.low <= metric.value <= metric.high <= 1


def test_the_interval_of_a_mean_over_seeds_is_students() -> None:
    metric = mean([1.40, 1.44, 1.42, 1.41, 1.43])
    # standard deviation 0.015811, over sqrt(5), times t_0.975 of 4 degrees
    assert metric.value == pytest.approx(1.42)
    assert metric.high - metric.value == pytest.approx(0.015811 / 5**0.5 * 2.776445, abs=1e-6)
    assert metric.n == 5


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(UserError, match="at least 2 repeats, found 1"):
        mean([1.42])


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="found 0 items"):
        share(0, 0)
