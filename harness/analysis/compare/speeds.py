"""Ratios of speeds between runs, with intervals, and what may be concluded from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.analysis import measures, stats
from harness.analysis.compare.runs import ComparedRun, Key
from harness.analysis.comparisons import BUSY, NO_DIFFERENCE
from harness.analysis.stats import Interval, ratio_interval, scale_interval
from harness.analysis.variants import Variant

FASTER, SLOWER, TOO_FEW = "faster", "slower", "too few processes"


@dataclass(frozen=True)
class SpeedChange:
    """The sequences/s of one variant in `after` over those in `before`, runs by letter.

    normalised is the same ratio over that of the two runs' matrix products, None where they share none; processes are
    those behind the ratio, before and after; noise_floor is the larger of the two runs' (stats.noise_floor), busy_share
    that of the cells compared (measures.busy_share).
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
    noise_floor: float
    verified: tuple[bool | None, bool | None]
    busy_share: float | None = None

    @property
    def conclusion(self) -> str:
        """By the rule that holds inside a run; too few processes are those that give no interval."""
        if self.busy_share is not None:
            return BUSY
        if self.ratio.low is None:
            return TOO_FEW
        if stats.shown_faster(self.ratio, self.noise_floor):
            return FASTER
        return SLOWER if stats.shown_slower(self.ratio, self.noise_floor) else NO_DIFFERENCE

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
        floor = max(first.analysis.noise_floor, other.analysis.noise_floor)
        found = [change for key in first.variants if (change := _compare(key, first, other, floor))]
        for change in found:
            normalised = scale_interval(change.ratio, 1 / machine.ratio) if machine else None
            changes.append(replace(change, normalised=normalised))
    return changes


def machine_change(before: ComparedRun, after: ComparedRun) -> MachineChange | None:
    """None where the runs measured no product in common."""
    rates = [_product_rates(run) for run in (before, after)]
    shared = [rates[1][name] / rates[0][name] for name in rates[0] if name in rates[1]]
    if not shared:
        return None
    mean = float(np.exp(np.mean(np.log(shared))))
    return MachineChange(before.letter, after.letter, mean, min(shared), max(shared), len(shared))


def _compare(key: Key, before: ComparedRun, after: ComparedRun, floor: float) -> SpeedChange | None:
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
        noise_floor=floor,
        verified=(left.verified, right.verified),
        busy_share=measures.busy_share(left.timed_cells + right.timed_cells),
    )


def _samples(variant: Variant) -> list[float]:
    return list(variant.rates.values())


def _product_rates(run: ComparedRun) -> dict[tuple[object, ...], float]:
    """Median rates by all that makes a product the same; the device is what may differ between machines."""
    rates: dict[tuple[object, ...], float] = {}
    for rate in run.analysis.products:
        rates.setdefault((rate.backend, rate.way, rate.precision, rate.m, rate.k, rate.n), rate.gflop_per_s)
    return rates
