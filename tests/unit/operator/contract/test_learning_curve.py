"""Power laws are found, inverted, and as uncertain as they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.contract.learning_curve import MIN_SPAN, fit_power_law

LABELS = st.lists(st.integers(1, 10_000), min_size=3, max_size=12, unique=True).filter(
    lambda labels: max(labels) >= MIN_SPAN * min(labels)
)


@given(LABELS, st.floats(0.01, 100), st.floats(0.05, 1.5))
def test_an_exact_power_law_is_found_and_inverted(labels, amplitude, exponent):
    law = fit_power_law(labels, [amplitude * n**-exponent for n in labels])
    assert law is not None
    assert law.exponent == pytest.approx(exponent, rel=1e-6)
    assert law.error_at(1) == pytest.approx(amplitude, rel=1e-5)
    assert law.error_at(500) == pytest.approx(amplitude * 500**-exponent, rel=1e-5)
    assert law.exponent_interval == pytest.approx((exponent, exponent), rel=1e-6)
    estimate = law.labels_for(amplitude * 500**-exponent)
    assert estimate is not None and estimate.labels == pytest.approx(500, rel=1e-4)
    assert estimate.low <= estimate.labels and estimate.high is not None and estimate.labels <= estimate.high


@given(LABELS, st.lists(st.floats(1e-6, 1e3), min_size=12, max_size=12), st.floats(1e-6, 1e3))
def test_whatever_the_errors_an_estimate_meets_its_target_inside_its_interval(labels, errors, target):
    law = fit_power_law(labels, errors[: len(labels)])
    assert law is not None
    estimate = law.labels_for(target)
    if estimate is None:
        return
    if estimate.labels > 1e-100:
        assert law.error_at(estimate.labels) == pytest.approx(target, rel=1e-6)
    assert all(math.isfinite(end) for labels in (1, estimate.labels, 1e7) for end in law.band(labels))
    assert 0 <= estimate.low <= estimate.labels <= (math.inf if estimate.high is None else estimate.high)


@pytest.mark.parametrize(
    ("labels", "errors"),
    [
        ([], []),
        ([10, 20], [0.3, 0.2]),
        ([10, 20, 20, 20], [0.3, 0.2, 0.19, 0.2]),
        ([0, 10, 20], [0.5, 0.3, 0.2]),
        ([1000, 1001, 1002], [0.05, 0.04, 0.05]),
        ([10, 20, 30], [0.3, math.nan, 0.2]),
        ([10, 20, 30], [0.3, 0.0, 0.2]),
    ],
    ids=[
        "nothing",
        "two points",
        "two numbers of labels",
        "one without labels",
        "hardly any difference",
        "not a number",
        "no error",
    ],
)
def test_fewer_than_three_usable_points_give_no_law(labels, errors):
    assert fit_power_law(labels, errors) is None


@pytest.mark.parametrize(
    ("errors", "target"),
    [([0.1, 0.2, 0.4], 0.05), ([0.1, 0.1, 0.1], 0.05), ([0.1, 0.0999, 0.0998], 0.01)],
    ids=["rising", "flat", "absurdly slow"],
)
def test_a_target_that_labels_do_not_reach_has_no_estimate(errors, target):
    law = fit_power_law([10, 20, 40], errors)
    assert law is not None and law.labels_for(target) is None


def test_an_uncertain_fit_leaves_the_interval_open():
    law = fit_power_law([10, 20, 30, 40], [0.30, 0.18, 0.28, 0.20])
    assert law is not None
    estimate = law.labels_for(0.1)
    assert estimate is not None and estimate.high is None


@pytest.mark.parametrize("target", [0.0, -0.1, math.nan, math.inf])
def test_a_target_no_power_law_reaches_is_refused(target):
    law = fit_power_law([10, 20, 40], [0.4, 0.3, 0.2])
    assert law is not None
    with pytest.raises(ValueError, match="above 0"):
        law.labels_for(target)


def test_the_interval_holds_the_true_exponent_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    labels = np.array([10, 20, 30, 40, 60, 80])
    exponent = estimate = 0
    for _ in range(1000):
        law = fit_power_law([*labels], [*(0.5 * labels**-0.5 * np.exp(rng.normal(0, 0.03, len(labels))))])
        assert law is not None
        exponent += law.exponent_interval[0] <= 0.5 <= law.exponent_interval[1]
        needed = law.labels_for(0.5 / np.sqrt(200))
        assert needed is not None
        estimate += needed.low <= 200 <= (math.inf if needed.high is None else needed.high)
    # 950 ± 7 of 1000
    assert 920 <= exponent <= 980
    assert 920 <= estimate <= 980


def test_the_band_holds_the_fit_and_widens_where_nothing_was_measured():
    law = fit_power_law([10, 20, 40, 80], [0.31, 0.2, 0.17, 0.1])
    assert law is not None
    (near_low, near_high), (far_low, far_high) = law.band(30), law.band(3000)
    assert near_low <= law.error_at(30) <= near_high
    assert far_low <= law.error_at(3000) <= far_high
    assert far_high / far_low > 2 * near_high / near_low
