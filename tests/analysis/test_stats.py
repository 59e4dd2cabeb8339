"""The intervals: their properties, and how often they are right in simulations with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from harness.analysis.stats import (
    Interval,
    clustered_proportion_interval,
    excludes_one,
    largest_coverage,
    mean_difference_interval,
    median_interval,
    noise_floor,
    ratio_interval,
    share_interval,
    shown_faster,
    shown_slower,
)

RATES = st.lists(st.floats(1.0, 1e6), min_size=2, max_size=20)
N_REPEATS, NOISE = 10, 0.05
few_examples = settings(max_examples=15, deadline=None)


def simulate(generator: np.random.Generator, median: float = 100.0, n: int = N_REPEATS) -> NDArray[np.float64]:
    """Process medians with multiplicative noise of 5 %; `median` is the true one."""
    return median * np.exp(generator.normal(0, NOISE, n))


@given(RATES)
@few_examples
def test_the_interval_holds_the_median_and_stays_among_the_samples(samples: list[float]) -> None:
    interval = median_interval(samples)
    assert interval.estimate == np.median(samples)
    assert interval.low is not None
    assert interval.high is not None
    assert min(samples) <= interval.low <= interval.estimate <= interval.high <= max(samples)


@given(st.floats(1.0, 1e6), st.integers(2, 20))
@few_examples
def test_equal_samples_have_an_interval_without_width_and_show_nothing(rate: float, n: int) -> None:
    assert median_interval([rate] * n) == Interval(rate, rate, rate)
    assert ratio_interval([rate] * n, [rate] * n) == Interval(1.0, 1.0, 1.0)
    assert not excludes_one(ratio_interval([rate] * n, [rate] * n))


@given(RATES, st.floats(0.01, 100))
@few_examples
def test_it_scales_with_the_samples(samples: list[float], factor: float) -> None:
    plain, scaled = median_interval(samples), median_interval([factor * sample for sample in samples])
    assert (scaled.low, scaled.high) == pytest.approx((factor * (plain.low or 0), factor * (plain.high or 0)))


@given(RATES)
@few_examples
def test_it_is_a_function_of_the_samples(samples: list[float]) -> None:
    assert median_interval(samples) == median_interval(samples)
    assert ratio_interval(samples, samples[::-1]) == ratio_interval(samples, samples[::-1])


@given(RATES, st.floats(0.5, 2.0))
@few_examples
def test_a_constant_ratio_of_pairs_has_no_width_whatever_drifts(samples: list[float], factor: float) -> None:
    interval = ratio_interval([factor * sample for sample in samples], samples)
    assert (interval.low, interval.estimate, interval.high) == pytest.approx((factor, factor, factor))


@given(RATES)
@few_examples
def test_higher_confidence_is_wider(samples: list[float]) -> None:
    narrow, wide = median_interval(samples, 0.5), median_interval(samples, 0.99)
    assert (wide.low or 0) <= (narrow.low or 0) <= (narrow.high or 0) <= (wide.high or 0)


def test_one_sample_has_no_interval_and_shows_nothing() -> None:
    assert median_interval([3.0]) == Interval(3.0)
    assert ratio_interval([2.0], [1.0]) == Interval(2.0)
    assert not excludes_one(ratio_interval([2.0], [1.0]))
    assert Interval(3.0).relative_width is None


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        median_interval([])
    with pytest.raises(ValueError, match="3 and 2 samples"):
        ratio_interval([1.0] * 3, [1.0] * 2)


@pytest.mark.parametrize(("bounds", "shown"), [((0.9, 1.1), False), ((1.01, 1.1), True), ((0.9, 0.99), True)])
def test_a_difference_is_an_interval_without_one(bounds: tuple[float, float], shown: bool) -> None:
    assert excludes_one(Interval(1.0, *bounds)) is shown


def test_the_width_is_relative_to_the_estimate() -> None:
    assert Interval(100.0, 90.0, 130.0).relative_width == pytest.approx(0.4)
    assert Interval(3.0, 3.0, 3.0).relative_width == 0


def test_95_percent_of_a_median_takes_six_samples() -> None:
    assert largest_coverage(1) == 0
    assert largest_coverage(5) < 0.95 < largest_coverage(6)


@pytest.mark.parametrize("n", [10, 25])
def test_the_interval_holds_the_true_median_as_often_as_it_says(n: int) -> None:
    generator = np.random.default_rng(7)
    intervals = [median_interval(list(simulate(generator, n=n))) for _ in range(300)]
    covered = np.mean([(each.low or 0) <= 100 <= (each.high or 0) for each in intervals])
    assert 0.91 <= covered <= 0.98


def test_a_slowdown_of_ten_percent_is_found_in_ten_repeats() -> None:
    generator = np.random.default_rng(7)
    ratios = [ratio_interval(list(simulate(generator)), list(simulate(generator, 90))) for _ in range(200)]
    assert np.mean([excludes_one(ratio) and ratio.estimate > 1 for ratio in ratios]) > 0.9


def test_the_same_against_itself_mostly_shows_no_difference() -> None:
    generator = np.random.default_rng(7)
    ratios = [ratio_interval(list(simulate(generator)), list(simulate(generator))) for _ in range(300)]
    assert np.mean([excludes_one(ratio) for ratio in ratios]) <= 0.09


def test_pairs_cancel_a_drift_that_would_hide_the_difference() -> None:
    generator = np.random.default_rng(7)
    drift = np.linspace(1.0, 0.7, N_REPEATS)
    left, right = (list(rate * drift * np.exp(generator.normal(0, 0.005, N_REPEATS))) for rate in (1.03 * 100, 100))
    assert excludes_one(ratio_interval(left, right))
    assert not excludes_one(ratio_interval(left, right, paired=False))


@pytest.mark.parametrize(
    ("same", "floor"),
    [
        (None, 1.0),
        (Interval(1.02, 0.957, 1.075), 1.075),
        (Interval(0.97, 0.5, 1.02), 2.0),
        (Interval(1.05, 1.01, 1.12), 1.12),
        (Interval(0.8), 1.25),
    ],
)
def test_the_noise_floor_is_the_bound_that_lies_farther_from_1(same: Interval | None, floor: float) -> None:
    assert noise_floor(same) == pytest.approx(floor)


@pytest.mark.parametrize(
    ("ratio", "floor", "shown"),
    [
        (Interval(1.2, 1.1, 1.3), 1.0, "faster"),
        (Interval(1.2, 1.1, 1.3), 1.19, "faster"),
        (Interval(1.2, 1.1, 1.3), 1.21, ""),
        (Interval(1.2, 0.99, 1.3), 1.0, ""),
        (Interval(0.8, 0.7, 0.9), 1.24, "slower"),
        (Interval(0.8, 0.7, 0.9), 1.26, ""),
        (Interval(14.0), 1.0, ""),
    ],
)
def test_faster_is_what_the_interval_and_the_noise_floor_both_show(ratio: Interval, floor: float, shown: str) -> None:
    assert (shown_faster(ratio, floor), shown_slower(ratio, floor)) == (shown == "faster", shown == "slower")


# --- Quality --------------------------------------------------------------------------------------------------


def test_a_mean_difference_has_students_paired_interval() -> None:
    interval = mean_difference_interval([3.0, 5.0, 10.0], [1.0, 4.0, 7.0])
    # Differences 2, 1, 3: mean 2, standard error 1 / sqrt(3), t of two degrees of freedom 4.3027.
    assert interval.estimate == 2.0
    assert interval.low == pytest.approx(2 - 4.302653 / np.sqrt(3), abs=1e-5)
    assert interval.high == pytest.approx(2 + 4.302653 / np.sqrt(3), abs=1e-5)


def test_one_pair_has_no_interval_and_uneven_ones_are_refused() -> None:
    assert mean_difference_interval([3.0], [1.0]) == Interval(2.0)
    for left, right in (([1.0], []), ([], [])):
        with pytest.raises(ValueError, match="do not make pairs"):
            mean_difference_interval(left, right)


def test_students_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    samples = generator.normal(0.5, 1.0, (2000, 3))
    intervals = [mean_difference_interval(sample, [0.0] * 3) for sample in samples]
    held = np.mean([each.low <= 0.5 <= each.high for each in intervals])  # type: ignore[operator]
    assert held == pytest.approx(0.95, abs=0.02)


def test_independent_trials_have_clopper_and_pearsons_interval() -> None:
    # One trial a cluster: nothing depends on anything.
    interval = clustered_proportion_interval([1] * 10, 1, 100)
    exact = binomtest(10, 100).proportion_ci(method="exact")
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high), rel=0.02)


def test_trials_that_go_together_count_as_one() -> None:
    together = clustered_proportion_interval([160] * 10, 160, 100)
    apart = clustered_proportion_interval([16] * 100, 160, 100)
    exact = binomtest(10, 100).proportion_ci(method="exact")
    assert together.estimate == apart.estimate == 0.1
    assert (together.low, together.high) == pytest.approx((exact.low, exact.high), rel=0.03)
    assert apart.high - apart.low < (together.high - together.low) / 5  # type: ignore[operator]


def test_no_success_at_all_is_bounded_by_the_clusters() -> None:
    interval = clustered_proportion_interval([], 160, 200)
    assert (interval.estimate, interval.low) == (0.0, 0.0)
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / 200))
    assert clustered_proportion_interval([8] * 5, 8, 5).high == 1.0


def test_the_interval_of_clusters_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = []
    for _ in range(500):
        rates = generator.beta(0.5, 4.5, 200)
        counts = generator.binomial(20, rates)
        interval = clustered_proportion_interval(counts[counts > 0].tolist(), 20, 200)
        held.append(interval.low <= 0.1 <= interval.high)  # type: ignore[operator]
    assert 0.92 <= np.mean(held) <= 0.99


def test_a_share_is_bootstrapped_over_pairs() -> None:
    generator = np.random.default_rng(0)
    wholes = generator.integers(1, 9, 300)
    parts = generator.binomial(wholes, 0.5)
    interval = share_interval(parts.tolist(), wholes.tolist())
    assert interval.estimate == parts.sum() / wholes.sum()
    assert interval.low < 0.5 < interval.high  # type: ignore[operator]
    assert interval.high - interval.low < 0.1  # type: ignore[operator]
