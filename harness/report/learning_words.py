"""What the run shows about learning beyond the bit error: the target, equal quality, and where errors are."""

from __future__ import annotations

import math

from harness.analysis.comparisons import NO_DIFFERENCE
from harness.analysis.positions import Middle, find_length, measure_middle, measured_lengths
from harness.analysis.quality import MEASURES, QualityComparison, compare_quality
from harness.analysis.target import TimeToTarget, measure_time_to_target
from harness.analysis.variants import Variant, find_lost, mark_label
from harness.records.structs import Run, TargetSection
from harness.report.quantities import count, integer, join, number, out_of, percent, span

NAMES = {
    "original_loss": "original loss",
    "wrong_bits_per_sequence": "wrong bits a sequence",
    "bit_error": "bit error",
    "bits_per_sequence": "bits a sequence",
}


def conclude_learning(run: Run, variants: list[Variant]) -> list[str]:
    found = [_target(run, variants), _quality(compare_quality(run, variants)), *_middles(run)]
    return [sentence for sentence in found if sentence]


def describe_target(target: TargetSection) -> str:
    """The bounds in words: original loss at most 0.008 and wrong bits a sequence at most 0.1; empty without one."""
    return " and ".join(f"{NAMES[name]} at most {number(bound)}" for name, bound in target.bounds().items())


def _target(run: Run, variants: list[Variant]) -> str:
    measured = [(each, measure_time_to_target(run, each.started)) for each in [*variants, *find_lost(run)]]
    parts = [_arrival(mark_label(each.label, each.verified), taken) for each, taken in measured if taken is not None]
    if not parts:
        return ""
    return f"Time to target ({describe_target(run.target)}, on validation data): {'; '.join(parts)}."


def _arrival(label: str, taken: TimeToTarget) -> str:
    seeds = f"{taken.n_reached} of {count(taken.n_seeds, 'seed')} arrived"
    if math.isinf(taken.seconds):
        return f"{label} never in the median ({seeds})"
    return f"{label} {number(taken.seconds)} s and {integer(round(taken.sequences))} sequences ({seeds})"


def _quality(comparisons: list[QualityComparison]) -> str:
    tested = [item for item in comparisons if item.conclusion is not None]
    if not tested:
        return "" if not comparisons else "One seed cannot tell whether two implementations learn equally well."
    differing = [item for item in tested if item.conclusion != NO_DIFFERENCE]
    if not differing:
        measured = join([NAMES[name] for name in MEASURES if any(item.measure == name for item in tested)])
        return f"{_same_seeds(tested)} no two implementations are shown to differ in {measured}."
    return f"{_same_seeds(differing)} {'; '.join(map(_difference, differing))}."


def _same_seeds(compared: list[QualityComparison]) -> str:
    fewest = min(compared, key=lambda item: item.seeds)
    where = f"On the same {out_of(fewest.seeds, fewest.seeds_started)} seeds"
    return f"{where}, those that both ended ok," if fewest.seeds < fewest.seeds_started else where


def _difference(item: QualityComparison) -> str:
    better, worse = (item.left, item.right) if item.conclusion == "left better" else (item.right, item.left)
    size = number(abs(item.difference.estimate))
    return f"{better} is better than {worse} in {NAMES[item.measure]} by {size} (95 % interval without 0)"


def _middles(run: Run) -> list[str]:
    return [_middle(run, length) for length in measured_lengths(run)]


def _middle(run: Run, length: int) -> str:
    """Whether the original's remark held in the trained networks, each tested by itself."""
    cells = [cell for cell in run.drawn_cells if find_length(cell, length)]
    middles = [middle for cell in cells if (middle := measure_middle(find_length(cell, length)))]
    if not cells or length < 3:
        return ""
    remark = f"Do errors gather mid-sequence, as the original's author remarked? At length {length}"
    if not middles:
        return f"{remark} too few sequences have a wrong bit to tell."
    return f"{remark} {_verdict(middles)}: {_shares(middles)}."


def _verdict(middles: list[Middle]) -> str:
    fuller, emptier = sum(each.is_fuller for each in middles), sum(each.is_emptier for each in middles)
    n = len(middles)
    if fuller == n:
        return f"yes, in {'each of the ' if n > 1 else 'the '}{f'{n} networks' if n > 1 else 'network'} tested"
    if fuller == 0:
        return f"no ({n} tested, {emptier} with fewer errors there than elsewhere)"
    return f"in {fuller} of the {n} networks tested"


def _shares(middles: list[Middle]) -> str:
    shares = [middle.share.estimate for middle in middles]
    found = span(percent(min(shares)), percent(max(shares)))
    return f"the middle third holds {found} of the wrong bits, where {percent(middles[0].even_share)} would be even"
