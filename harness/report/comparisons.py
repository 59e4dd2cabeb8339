"""Which of two variants is faster: ratios of their speeds with intervals, and one implementation against itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from harness.report.records import Run
from harness.report.speed import Place, sample_rates
from harness.report.variants import Variant, short_label
from harness.stats import Interval, ratio_interval, shows_difference

Row = dict[str, object]


@dataclass(frozen=True)
class Comparison:
    """The sequences/s of left over those of right, by label, from as many pairs of processes as `repeats`."""

    left: str
    right: str
    precision: str
    device: str
    ratio: Interval
    repeats: int
    is_a_a: bool = False

    @property
    def conclusion(self) -> str | None:
        """None where a single pair allows no conclusion."""
        if self.ratio.low is None:
            return None
        if not shows_difference(self.ratio):
            return "no difference shown"
        return "left faster" if self.ratio.low > 1 else "right faster"


def compare_all(run: Run, variants: list[Variant]) -> list[Comparison]:
    """Every pair of ranked variants on one device and in one precision, and every implementation's precisions, the
    faster at the left; then the A/A pair."""
    compared = list(_compare_pairs([variant for variant in variants if variant.is_ranked]))
    return compared + [pair for pair in [compare_with_itself(run)] if pair]


def compare_with_itself(run: Run) -> Comparison | None:
    """The A/A pair: the same implementation in two sets of processes. Its ratio is the noise floor."""
    again = [cell for cell in run.ok_cells if run.is_again(cell)]
    if run.file.a_a is None or not again:
        return None
    first = run.file.a_a.first_repeat
    own = [cell for cell in run.ok_cells if cell.variant == again[0].variant and not run.is_again(cell)]
    left = sample_rates(run, own)
    right = {(seed, repeat - first): rate for (seed, repeat), rate in sample_rates(run, again).items()}
    label, precision, device = short_label(run, again[0]), again[0].precision, again[0].device or ""
    return _compare(left, right, (label, f"{label} again", precision, device), is_a_a=True)


def comparison_rows(comparisons: list[Comparison]) -> list[Row]:
    return [
        {
            "left": item.left,
            "right": item.right,
            "ratio": item.ratio.estimate,
            "low": item.ratio.low,
            "high": item.ratio.high,
            "repeats": item.repeats,
            "conclusion": item.conclusion,
            "precision": item.precision,
            "device": item.device,
            "a_a": item.is_a_a,
        }
        for item in comparisons
    ]


def _compare_pairs(variants: list[Variant]) -> Iterator[Comparison]:
    for left, right in combinations(variants, 2):
        same_code = (left.backend, left.implementation) == (right.backend, right.implementation)
        if left.device == right.device and (same_code or left.precision == right.precision):
            precision = " / ".join(dict.fromkeys((left.precision, right.precision)))
            names = (left.label, right.label, precision, left.device)
            if comparison := _compare(left.rates, right.rates, names):
                yield comparison


def _compare(
    left: dict[Place, float], right: dict[Place, float], names: tuple[str, str, str, str], *, is_a_a: bool = False
) -> Comparison | None:
    """Pairs are of one seed and repeat, which ran close together; what has no partner is left out."""
    places = sorted(left.keys() & right.keys())
    if not places:
        return None
    ratio = ratio_interval([left[place] for place in places], [right[place] for place in places])
    return Comparison(*names, ratio, len(places), is_a_a)
