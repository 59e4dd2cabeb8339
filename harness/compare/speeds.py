"""Ratios of speeds between runs, with intervals, and what may be concluded from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from harness.compare.runs import ComparedRun, Key
from harness.report.ceiling import product_rates
from harness.report.comparisons import compare_with_itself
from harness.report.variants import Variant
from harness.stats import Interval, least_p_value, rank_p_value, ratio_interval, shows_difference

SIGNIFICANCE = 0.05
FASTER, SLOWER, NO_DIFFERENCE, TOO_FEW = "faster", "slower", "no difference shown", "too few processes"


@dataclass(frozen=True)
class SpeedChange:
    """The sequences/s of one variant in `after` over those in `before`, runs by letter, one of n_compared such ratios.

    normalised is the same ratio over that of the two runs' matrix products, None where they share none; processes are
    those behind the ratio, before and after; p_value is that of the rank test between them; noise is the largest |log|
    of the runs' A/A ratios.
    """

    key: Key
    label: str
    before: str
    after: str
    before_rate: Interval
    after_rate: Interval
    ratio: Interval
    normalised: Interval | None
    processes: tuple[int, int]
    p_value: float
    n_compared: int
    noise: float
    verified: tuple[bool | None, bool | None]

    @property
    def conclusion(self) -> str:
        """Shown is a difference that the interval and the rank test agree on and that is larger than the noise.

        With several implementations, 5 % each would find a difference between equal runs far more often than in one
        of twenty, so the test's 5 % are shared between them (Bonferroni).
        """
        significance = SIGNIFICANCE / self.n_compared
        if least_p_value(*self.processes) > significance:
            return TOO_FEW
        is_shown = shows_difference(self.ratio) and self.p_value <= significance
        if not is_shown or abs(math.log(self.ratio.estimate)) <= self.noise:
            return NO_DIFFERENCE
        return FASTER if self.ratio.estimate > 1 else SLOWER

    @property
    def time_increase(self) -> float:
        """How much longer a step takes after than before, as a share: 0.1 is 10 % slower."""
        return 1 / self.ratio.estimate - 1


@dataclass(frozen=True)
class MachineChange:
    """The rate of the matrix products that both runs measured, after over before: the geometric mean over `products`
    shapes and backends, with the lowest and the highest."""

    before: str
    after: str
    ratio: float
    low: float
    high: float
    products: int


def speed_changes(runs: list[ComparedRun]) -> list[SpeedChange]:
    """Every variant of the first run against each other run that has it, in the first run's order."""
    first, *others = runs
    changes = []
    for other in others:
        machine = machine_change(first, other)
        noise = max(noise_floor(first), noise_floor(other))
        found = [change for key in first.variants if (change := _compare(key, first, other, noise))]
        for change in found:
            normalised = _scale(change.ratio, 1 / machine.ratio) if machine else None
            changes.append(replace(change, normalised=normalised, n_compared=len(found)))
    return changes


def machine_change(before: ComparedRun, after: ComparedRun) -> MachineChange | None:
    """None where the runs measured no product in common."""
    rates = [_product_rates(run) for run in (before, after)]
    shared = [rates[1][name] / rates[0][name] for name in rates[0] if name in rates[1]]
    if not shared:
        return None
    mean = float(np.exp(np.mean(np.log(shared))))
    return MachineChange(before.letter, after.letter, mean, min(shared), max(shared), len(shared))


def noise_floor(run: ComparedRun) -> float:
    """|log| of the run's A/A ratio, one implementation against itself; 0 where none was measured."""
    pair = compare_with_itself(run.run)
    return abs(math.log(pair.ratio.estimate)) if pair else 0.0


def _compare(key: Key, before: ComparedRun, after: ComparedRun, noise: float) -> SpeedChange | None:
    left, right = before.variants[key], after.variants.get(key)
    if right is None or left.speed is None or right.speed is None:
        return None
    return SpeedChange(
        key=key,
        label=before.labels[key],
        before=before.letter,
        after=after.letter,
        before_rate=left.speed.sequences_per_s,
        after_rate=right.speed.sequences_per_s,
        ratio=ratio_interval(_samples(right), _samples(left), paired=False),
        normalised=None,
        processes=(len(left.rates), len(right.rates)),
        p_value=rank_p_value(_samples(right), _samples(left)),
        n_compared=1,
        noise=noise,
        verified=(left.verified, right.verified),
    )


def _samples(variant: Variant) -> list[float]:
    return list(variant.rates.values())


def _scale(interval: Interval, factor: float) -> Interval:
    bounds = (None if bound is None else bound * factor for bound in (interval.low, interval.high))
    return Interval(interval.estimate * factor, *bounds)


def _product_rates(run: ComparedRun) -> dict[tuple[object, ...], float]:
    """Median rates by all that makes a product the same; the device is what may differ between machines."""
    rates: dict[tuple[object, ...], float] = {}
    for rate in product_rates(run.run.products):
        rates.setdefault((rate.backend, rate.way, rate.precision, rate.m, rate.k, rate.n), rate.gflop_per_s)
    return rates
