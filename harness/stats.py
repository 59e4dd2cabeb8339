"""Medians and ratios of speeds with bootstrap intervals, as pure functions. The process is the sample: each number
is already the median of one fresh process, because the steps inside a process are not independent of each other.

Intervals are percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). BCa,
which corrects for skewness, estimates it by the jackknife, and for a median the jackknife is inconsistent (the same,
section 11.6): it sees the two or three samples in the middle and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, mannwhitneyu

N_RESAMPLES = 9999
# Any will do; a fixed one makes the interval a function of the samples.
BOOTSTRAP_SEED = 0
ENOUGH_SAMPLES = 6


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval, in the unit of the samples; without bounds from a single sample."""

    estimate: float
    low: float | None = None
    high: float | None = None

    @property
    def relative_half_width(self) -> float | None:
        """Half the interval's width as a share of the estimate."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2 / self.estimate


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> Interval:
    """The median of the samples with its interval. ValueError where there is no sample."""
    return _interval(_median, [samples], confidence, paired=False)


def ratio_interval(
    left: Sequence[float], right: Sequence[float], confidence: float = 0.95, *, paired: bool = True
) -> Interval:
    """The median of left over the median of right, positive samples, with its interval.

    Paired: left[i] and right[i] were measured at nearly the same time, as in interleaved repeats, and are drawn
    together. What drifts falls on both, so each resample holds it in both medians and it cancels in their ratio; drawn
    apart, the drift would count as noise and widen the interval. Where nothing drifts pairing changes nothing.
    ValueError where a side is empty, or where pairs are of unequal number.
    """
    if paired and len(left) != len(right):
        raise ValueError(f"{len(left)} and {len(right)} samples do not make pairs")
    return _interval(_ratio, [left, right], confidence, paired=paired)


def shows_difference(ratio: Interval) -> bool:
    """Whether the interval of a ratio excludes 1. A single sample shows nothing."""
    return ratio.low is not None and ratio.high is not None and (ratio.low > 1 or ratio.high < 1)


def largest_coverage(n_samples: int) -> float:
    """The probability that the true median lies between the least and the greatest of n samples: 1 - 2^(1 - n).

    No resampling of n samples reaches beyond them, so this bounds the confidence of an interval of the median: 95 %
    takes 6 samples.
    """
    return 1 - 2.0 ** (1 - n_samples)


def rank_p_value(left: Sequence[float], right: Sequence[float]) -> float:
    """The probability of ranks at least as far apart if both sides were alike (Mann and Whitney 1947, two-sided)."""
    return float(mannwhitneyu(left, right).pvalue)


def least_p_value(n_left: int, n_right: int) -> float:
    """The least rank_p_value of so few samples: 2 / C(n + m, n), where all of one side exceed all of the other."""
    return 2 / math.comb(n_left + n_right, n_left)


def _interval(statistic: Any, samples: list[Sequence[float]], confidence: float, *, paired: bool) -> Interval:
    arrays = [np.asarray(sample, np.float64) for sample in samples]
    if not all(array.size for array in arrays):
        raise ValueError("there are no samples")
    estimate = float(statistic(*arrays))
    if min(array.size for array in arrays) == 1:
        return Interval(estimate)
    resampled = bootstrap(
        arrays,
        statistic,
        n_resamples=N_RESAMPLES,
        method="percentile",
        paired=paired,
        vectorized=True,
        rng=np.random.default_rng(BOOTSTRAP_SEED),
    ).bootstrap_distribution
    # SciPy's own bounds of equal values are off by a rounding, enough to exclude a ratio of 1; NumPy's are exact.
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))


def _median(samples: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return np.asarray(np.median(samples, axis=axis))


def _ratio(left: NDArray[np.float64], right: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return _median(left, axis) / _median(right, axis)
