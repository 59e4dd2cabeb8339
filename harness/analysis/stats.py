"""Estimates with their intervals, as pure functions.

Of speeds: medians and ratios with bootstrap intervals. The process is the sample: each number
is already the median of one fresh process, because the steps inside a process are not independent of each other.

Intervals are percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). BCa,
which corrects for skewness, estimates it by the jackknife, and for a median the jackknife is inconsistent (the same,
section 11.6): it sees the two or three samples in the middle and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

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
    def relative_width(self) -> float | None:
        """The interval's width as a share of the estimate."""
        return None if self.low is None or self.high is None else (self.high - self.low) / self.estimate


def scale_interval(interval: Interval, factor: float) -> Interval:
    """The interval in another unit, or of another ratio: everything times the factor, which is positive."""
    bounds = (None if bound is None else bound * factor for bound in (interval.low, interval.high))
    return Interval(interval.estimate * factor, *bounds)


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


def mean_difference_interval(left: Sequence[float], right: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of left - right over pairs, with Student's interval of paired samples; without bounds from one pair.

    Student and no bootstrap, because there are few seeds: resampling three differences reaches no farther than the
    three, while t with two degrees of freedom takes 4.3 standard errors. It assumes that differences between
    trainings are roughly normal. ValueError where the pairs are none or of unequal number.
    """
    if len(left) != len(right) or not len(left):
        raise ValueError(f"{len(left)} and {len(right)} samples do not make pairs")
    differences = np.asarray(left, np.float64) - np.asarray(right, np.float64)
    mean, n_pairs = float(differences.mean()), len(differences)
    if n_pairs == 1:
        return Interval(mean)
    reach = float(stdtrit(n_pairs - 1, (1 + confidence) / 2) * differences.std(ddof=1) / np.sqrt(n_pairs))
    return Interval(mean, mean - reach, mean + reach)


def clustered_proportion_interval(
    counts: Sequence[int], cluster_size: int, n_clusters: int, confidence: float = 0.95
) -> Interval:
    """The share of successes in n_clusters clusters of cluster_size trials each, of which `counts` had successes, with
    its interval.

    Trials within a cluster, such as the bits of one sequence, depend on each other, so there are fewer than their
    number tells. Clopper and Pearson's exact binomial interval is taken with the effective number of trials, after
    Korn and Graubard (Survey Methodology 24, 1998): the number divided by the design effect, the variance between
    clusters over that of independent trials, which counts as 1 at least. Where all trials came out the same, no design
    effect can be estimated, and each cluster counts as a single trial.
    """
    successes, n_trials = sum(counts), cluster_size * n_clusters
    share = successes / n_trials
    effective = float(n_clusters)
    if 0 < share < 1 and n_clusters > 1:
        squares = sum((count / cluster_size - share) ** 2 for count in counts)
        squares += (n_clusters - len(counts)) * share**2
        variance = squares / (n_clusters - 1) / n_clusters
        effective = n_trials / max(1.0, variance / (share * (1 - share) / n_trials))
    tail, seen = (1 - confidence) / 2, share * effective
    low = 0.0 if share == 0 else float(betaincinv(seen, effective - seen + 1, tail))
    high = 1.0 if share == 1 else float(betaincinv(seen + 1, effective - seen, 1 - tail))
    return Interval(share, low, high)


def share_interval(parts: Sequence[float], wholes: Sequence[float], confidence: float = 0.95) -> Interval:
    """The sum of parts over the sum of wholes, bootstrapped over their pairs; all wholes positive, at least one."""
    return _interval(_ratio_of_sums, [parts, wholes], confidence, paired=True)


def excludes_one(ratio: Interval) -> bool:
    """Whether the interval of a ratio leaves out 1; False where there is no interval."""
    return ratio.low is not None and ratio.high is not None and (ratio.low > 1 or ratio.high < 1)


def noise_floor(same: Interval | None) -> float:
    """The factor, at least 1, within which a ratio may be noise: the bound that lies farther from 1, on a log scale, of
    the ratio `same` of one implementation to itself; its estimate where it has no interval, 1 where none was measured.
    """
    if same is None:
        return 1.0
    known = [end for end in (same.low, same.high) if end is not None] or [same.estimate]
    return max(max(end, 1 / end) for end in known)


def shown_faster(ratio: Interval, floor: float) -> bool:
    """Whether the left side of a ratio of speeds is shown to be the faster: the whole interval lies above 1, and the
    estimate above the noise floor. This is the one rule for "faster" in headlines, tables and comparisons of runs."""
    return excludes_one(ratio) and ratio.estimate > floor


def shown_slower(ratio: Interval, floor: float) -> bool:
    """Whether the left side of a ratio of speeds is shown to be the slower, by the rule of shown_faster."""
    return excludes_one(ratio) and 1 / ratio.estimate > floor


def largest_coverage(n_samples: int) -> float:
    """The probability that the true median lies between the least and the greatest of n samples: 1 - 2^(1 - n).

    No resampling of n samples reaches beyond them, so this bounds the confidence of an interval of the median: 95 %
    takes 6 samples.
    """
    return 1 - 2.0 ** (1 - n_samples)


def _interval(statistic: Any, samples: Sequence[Sequence[float]], confidence: float, *, paired: bool) -> Interval:
    arrays = [np.asarray(sample, np.float64) for sample in samples]
    if not all(array.size for array in arrays):
        raise ValueError("there are no samples")
    estimate = float(statistic(*arrays))
    if min(array.size for array in arrays) == 1:
        return Interval(estimate)
    from scipy.stats import bootstrap  # takes half a second to import, which most commands do without

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


def _ratio_of_sums(parts: NDArray[np.float64], wholes: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return np.asarray(np.sum(parts, axis=axis) / np.sum(wholes, axis=axis))
