from dataclasses import replace

import pytest

from demiurgic.core.errors import UserError
from demiurgic.stats.bootstrap import Measured, ratio
from demiurgic.stats.paired import difference, minimal_detectable, recovered_share
from simulated import simulated_pair


def test_a_paired_difference_is_far_sharper_than_either_of_the_two() -> None:
    first, second = simulated_pair(seed=2)
    paired, alone = difference(first, second, seed=0).metric, ratio(first, seed=0)
    assert paired.value == pytest.approx(first.value - second.value)
    assert (paired.high - paired.low) < 0.2 * (alone.high - alone.low)
    assert paired.low > 0


def test_two_equal_models_differ_by_an_interval_around_zero() -> None:
    num_around_zero = 0
    for seed in range(200):
        metric = difference(*simulated_pair(seed=seed, first=1.5, second=1.5), seed=seed, resamples=1000).metric
        num_around_zero += metric.low <= 0 <= metric.high
    assert 0.90 <= num_around_zero / 200 <= 0.985


def test_a_model_compared_with_itself_differs_by_exactly_nothing() -> None:
    first, _ = simulated_pair(seed=2)
    same = difference(first, first, seed=0)
    assert (same.metric.value, same.metric.low, same.metric.high) == (0, 0, 0)
    assert same.minimal_detectable is None


def test_what_is_called_detectable_is_found_in_four_of_five_tries() -> None:
    detectable = difference(*simulated_pair(seed=0, num_clusters=40), seed=0).minimal_detectable
    assert detectable is not None
    num_found = 0
    for seed in range(200):
        pair = simulated_pair(seed=seed, num_clusters=40, first=1.5 + detectable, second=1.5)
        num_found += difference(*pair, seed=seed, resamples=1000).metric.low > 0
    assert 0.65 <= num_found / 200 <= 0.92


def test_the_detectable_difference_of_many_clusters_is_2_8_standard_errors() -> None:
    assert minimal_detectable(1.0, num_clusters=100_000) == pytest.approx(1.96 + 0.8416, abs=1e-3)


def test_measurements_on_different_items_cannot_be_paired() -> None:
    first, second = simulated_pair(seed=2)
    with pytest.raises(ValueError, match="same items"):
        difference(first, replace(second, items=list(reversed(second.items))), seed=0)


def test_pairs_within_one_cluster_have_no_interval() -> None:
    first = Measured(["a", "b"], ["x", "x"], [1, 0], [1, 1])
    with pytest.raises(UserError, match="at least 2 clusters"):
        difference(first, first, seed=0)


def test_a_student_halfway_recovers_half_of_the_lead() -> None:
    control, teacher = simulated_pair(seed=4, first=1.6, second=1.4)
    halfway = [(c + t) / 2 for c, t in zip(control.numerators, teacher.numerators, strict=True)]
    student = replace(control, numerators=halfway)
    recovered = recovered_share(student, control=control, teacher=teacher, better="lower", seed=0)
    assert recovered.share is not None
    assert recovered.share.value == pytest.approx(0.5)
    assert recovered.share.low == pytest.approx(0.5) == recovered.share.high


def test_the_control_recovers_none_of_the_lead_and_the_teacher_all_of_it() -> None:
    control, teacher = simulated_pair(seed=4, first=1.6, second=1.4)
    nothing = recovered_share(control, control=control, teacher=teacher, better="lower", seed=0).share
    everything = recovered_share(teacher, control=control, teacher=teacher, better="lower", seed=0).share
    assert nothing is not None
    assert everything is not None
    assert (nothing.value, everything.value) == (0, 1)


def test_the_share_is_the_same_whether_lower_or_higher_is_better() -> None:
    control, teacher = simulated_pair(seed=4, first=1.6, second=1.4)
    student = replace(control, numerators=[0.97 * bits for bits in control.numerators])

    def turned(measured: Measured) -> Measured:
        return replace(measured, numerators=[-numerator for numerator in measured.numerators])

    lower = recovered_share(student, control=control, teacher=teacher, better="lower", seed=0)
    higher = recovered_share(turned(student), control=turned(control), teacher=turned(teacher), better="higher", seed=0)
    assert lower == higher


def test_a_teacher_that_does_not_lead_has_no_lead_to_recover() -> None:
    control, teacher = simulated_pair(seed=4, first=1.5, second=1.5)
    undefined = recovered_share(control, control=control, teacher=teacher, better="lower", seed=0)
    assert undefined.share is None
    assert undefined.lead.low <= 0


def test_a_teacher_that_is_behind_leads_by_a_negative_amount() -> None:
    control, teacher = simulated_pair(seed=4, first=1.4, second=1.6)
    behind = recovered_share(control, control=control, teacher=teacher, better="lower", seed=0)
    assert behind.share is None
    assert behind.lead.high < 0
