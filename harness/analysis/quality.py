"""Whether two variants learn equally well: differences on the same seeds, and so the same data, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from harness.analysis import measures
from harness.analysis.comparisons import NO_DIFFERENCE
from harness.analysis.rows import QualityRow
from harness.analysis.stats import Interval, mean_difference_interval
from harness.analysis.variants import Variant
from harness.records.structs import Cell, Run

Measure = Callable[[Run, Cell], float | None]

# Of two differences, Student's interval takes 12.7 standard errors: it says nothing, and one says less.
ENOUGH_SEEDS = 3
# What is compared, less being better.
MEASURES: dict[str, Measure] = {
    "original_loss": lambda run, cell: measures.original_loss(cell),
    "wrong_bits_per_sequence": lambda run, cell: measures.wrong_bits_per_sequence(cell),
    "bit_error": lambda run, cell: measures.bit_error(cell, run.task),
    "bits_per_sequence": lambda run, cell: measures.bits_per_sequence(cell, run.task),
}


@dataclass(frozen=True)
class QualityComparison:
    """The mean over seeds of a measure of left less that of right, by label; of seeds_started, on which both were
    started, `seeds` have a value of both."""

    measure: str
    left: str
    right: str
    precision: str
    difference: Interval
    seeds: int
    seeds_started: int

    @property
    def conclusion(self) -> str | None:
        """None where a single seed allows no conclusion. The measures are such that less is better."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return None
        if low <= 0 <= high:
            return NO_DIFFERENCE
        return "right better" if low > 0 else "left better"


def compare_quality(run: Run, variants: list[Variant]) -> list[QualityComparison]:
    """Every pair of variants that are not known to be wrong, in every measure that both have on a seed in common."""
    sound = sorted((variant for variant in variants if variant.verified is not False), key=lambda each: each.label)
    return [
        comparison
        for name, measure in MEASURES.items()
        for left, right in combinations(sound, 2)
        if (comparison := _compare(run, name, measure, left, right)) is not None
    ]


def quality_rows(comparisons: list[QualityComparison]) -> Iterator[QualityRow]:
    for item in comparisons:
        yield QualityRow(
            measure=item.measure,
            left=item.left,
            right=item.right,
            difference=item.difference.estimate,
            low=item.difference.low,
            high=item.difference.high,
            seeds_compared=item.seeds,
            conclusion=item.conclusion,
            precision=item.precision,
            seeds_started=item.seeds_started,
        )


def _compare(run: Run, name: str, measure: Measure, left: Variant, right: Variant) -> QualityComparison | None:
    ours, theirs = (_by_seed(run, measure, variant) for variant in (left, right))
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds or left.precision != right.precision:
        return None
    difference = mean_difference_interval([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])
    started = {cell.seed for cell in left.started} & {cell.seed for cell in right.started}
    return QualityComparison(name, left.label, right.label, left.precision, difference, len(seeds), len(started))


def _by_seed(run: Run, measure: Measure, variant: Variant) -> dict[int, float]:
    """The measure by seed; of repeats, which train the same on the same data, the median."""
    found = {
        seed: measures.median(measure(run, cell) for cell in variant.cells if cell.seed == seed)
        for seed in {cell.seed for cell in variant.cells}
    }
    return {seed: value for seed, value in found.items() if value is not None}
