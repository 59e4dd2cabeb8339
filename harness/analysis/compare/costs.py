"""Ratios of memory, CPU time and inference between runs, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.compare.runs import ComparedRun, Key
from harness.analysis.costs import MEASURES, Cost
from harness.analysis.stats import Interval, ratio_interval
from harness.analysis.variants import Variant


@dataclass(frozen=True)
class CostChange:
    """One cost of one variant in `before` and in `after`, runs by letter, medians over `processes`, and the ratio of
    after to before. Nothing is concluded from it: the noise floor is one of speeds."""

    key: Key
    label: str
    cost: Cost
    before: str
    after: str
    before_value: Interval
    after_value: Interval
    ratio: Interval
    processes: tuple[int, int]


def cost_changes(runs: list[ComparedRun]) -> list[CostChange]:
    """Every cost of every variant of the first run against each other run whose records tell it too; what is 0 has no
    ratio and is left out."""
    first, *others = runs
    return [
        change
        for other in others
        for key in first.variants
        if key in other.variants
        for cost in MEASURES
        if (change := _compare(cost, key, first, other))
    ]


def _compare(cost: Cost, key: Key, before: ComparedRun, after: ComparedRun) -> CostChange | None:
    left, right = before.variants[key], after.variants[key]
    samples = left.cost_samples.get(cost, []), right.cost_samples.get(cost, [])
    if not all(samples) or not all(value > 0 for side in samples for value in side):
        return None
    if not _is_alike(cost, (left, before), (right, after)):
        return None
    return CostChange(
        key=key,
        label=before.labels[key],
        cost=cost,
        before=before.letter,
        after=after.letter,
        before_value=left.costs[cost],
        after_value=right.costs[cost],
        ratio=ratio_interval(samples[1], samples[0], paired=False),
        processes=(len(samples[0]), len(samples[1])),
    )


def _is_alike(cost: Cost, *sides: tuple[Variant, ComparedRun]) -> bool:
    """A GPU's memory is not the process's, and a rate in calls with more sequences is another measure."""
    if cost == "peak_memory_bytes":
        return len({variant.device for variant, _ in sides}) == 1
    if cost == "inference_sequences_per_s":
        return len({run.run.file.configuration.inference.batch for _, run in sides}) == 1
    return True
