"""Which of two variants is faster: ratios of their speeds with intervals, and one implementation against itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from harness.analysis import measures, stats
from harness.analysis.rows import ComparisonRow
from harness.analysis.speed import Round, sample_rates
from harness.analysis.stats import Interval, ratio_interval
from harness.analysis.variants import Place, Variant, short_label
from harness.records.structs import Run

NO_DIFFERENCE, BUSY = "no difference shown", "machine busy"
LEFT_FASTER, RIGHT_FASTER = "left faster", "right faster"


@dataclass(frozen=True)
class Comparison:
    """The sequences/s of left over those of right, by label.

    repeats is the number of rounds that both ran in and the ratio is of; None where they share none, and it is of all
    their processes, unpaired. n_least is the number of processes of the side that has fewer. noise_floor is the run's
    (stats.noise_floor), busy_share that of the cells compared (measures.busy_share).
    """

    left: str
    right: str
    precision: str
    device: str
    ratio: Interval
    repeats: int | None
    n_least: int
    noise_floor: float = 1.0
    busy_share: float | None = None
    is_a_a: bool = False

    @property
    def conclusion(self) -> str | None:
        """None where a single process allows no conclusion."""
        if self.busy_share is not None:
            return BUSY
        if self.ratio.low is None:
            return None
        if stats.shown_faster(self.ratio, self.noise_floor):
            return LEFT_FASTER
        return RIGHT_FASTER if stats.shown_slower(self.ratio, self.noise_floor) else NO_DIFFERENCE


def compare_all(variants: list[Variant], a_a: Comparison | None) -> list[Comparison]:
    """Every pair of ranked variants on one device and in one precision, and every implementation's precisions, the
    faster at the left; then the A/A pair, where there is one."""
    floor = a_a.noise_floor if a_a else 1.0
    compared = list(_compare_pairs([variant for variant in variants if variant.is_ranked], floor))
    return [*compared, a_a] if a_a else compared


def compare_a_a(run: Run) -> Comparison | None:
    """The A/A pair: the same implementation in two sets of processes, which ran close together in each round. Its ratio
    gives the noise floor."""
    second = [cell for cell in run.ok_cells if run.is_second_of_a_a(cell)]
    if run.file.a_a is None or not second:
        return None
    first = run.file.a_a.first_repeat
    own = [cell for cell in run.ok_cells if cell.variant == second[0].variant and not run.is_second_of_a_a(cell)]
    left = sample_rates(run, own)
    right = {(seed, repeat - first): rate for (seed, repeat), rate in sample_rates(run, second).items()}
    shared = sorted(left.keys() & right.keys())
    if not shared:
        return None
    ratio = ratio_interval([left[round_] for round_ in shared], [right[round_] for round_ in shared])
    label, floor, n_shared = short_label(run, second[0]), stats.noise_floor(ratio), len(shared)
    where = second[0].precision, second[0].device or ""
    return Comparison(label, f"{label} again", *where, ratio, n_shared, n_shared, noise_floor=floor, is_a_a=True)


def compare_fastest(place: Place, comparisons: list[Comparison]) -> list[Comparison]:
    """The fastest of a place against each of the others, the next fastest first."""
    fastest, *others = (variant.label for variant in place.ranked)
    return [item for item in comparisons if item.left == fastest and item.right in others and not item.is_a_a]


def comparison_rows(comparisons: list[Comparison]) -> list[ComparisonRow]:
    return [
        ComparisonRow(
            left=item.left,
            right=item.right,
            ratio=item.ratio.estimate,
            low=item.ratio.low,
            high=item.ratio.high,
            repeats=item.repeats,
            conclusion=item.conclusion,
            precision=item.precision,
            device=item.device,
            a_a=item.is_a_a,
        )
        for item in comparisons
    ]


def _compare_pairs(variants: list[Variant], floor: float) -> Iterator[Comparison]:
    for left, right in combinations(variants, 2):
        same_code = (left.backend, left.implementation) == (right.backend, right.implementation)
        if left.device == right.device and (same_code or left.precision == right.precision):
            yield _compare(left, right, floor)


def _compare(left: Variant, right: Variant, floor: float) -> Comparison:
    """The ratio is that of the two variants' own rates, in pairs where these are of the same rounds."""
    is_paired = left.rates.keys() == right.rates.keys()
    return Comparison(
        left=left.label,
        right=right.label,
        precision=" / ".join(dict.fromkeys((left.precision, right.precision))),
        device=left.device,
        ratio=ratio_interval(_in_order(left.rates), _in_order(right.rates), paired=is_paired),
        repeats=len(left.rates) if is_paired else None,
        n_least=min(len(left.rates), len(right.rates)),
        noise_floor=floor,
        busy_share=measures.busy_share(left.timed_cells + right.timed_cells),
    )


def _in_order(rates: dict[Round, float]) -> list[float]:
    return [rates[round_] for round_ in sorted(rates)]
