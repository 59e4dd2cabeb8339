"""What the run shows about learning beyond the bit error: the target, equal quality, and where errors are."""

from __future__ import annotations

import math

from harness.analysis.analysis import Analysis
from harness.analysis.comparisons import NO_DIFFERENCE
from harness.analysis.positions import MiddleTest
from harness.analysis.quality import ENOUGH_SEEDS, MEASURES, QualityComparison
from harness.analysis.target import Arrival
from harness.analysis.variants import mark_label
from harness.report.quantities import count, integer, join, number, out_of, percent, span
from harness.task.recipe import TargetConfig

NAMES = {
    "original_loss": "original loss",
    "wrong_bits_per_sequence": "wrong bits a sequence",
    "bit_error": "bit error",
    "bits_per_sequence": "bits a sequence",
}


def conclude_learning(analysis: Analysis) -> list[str]:
    found = [_target(analysis), _quality(analysis.quality), *map(_middle, analysis.middles)]
    return [sentence for sentence in found if sentence]


def describe_target(target: TargetConfig) -> str:
    """The bounds in words: original loss at most 0.008 and wrong bits a sequence at most 0.1; empty without one."""
    return " and ".join(f"{NAMES[name]} at most {number(bound)}" for name, bound in target.bounds().items())


def _target(analysis: Analysis) -> str:
    if not analysis.arrivals:
        return ""
    parts = "; ".join(map(_arrival, analysis.arrivals))
    return f"Time to target ({describe_target(analysis.run.target)}, on validation data): {parts}."


def _arrival(arrival: Arrival) -> str:
    label, taken = mark_label(arrival.variant.label, arrival.variant.verified), arrival.taken
    seeds = f"{taken.n_reached} of {count(taken.n_seeds, 'seed')} arrived"
    if math.isinf(taken.seconds):
        return f"{label} never in the median ({seeds})"
    return f"{label} {number(taken.seconds)} s and {integer(round(taken.sequences))} sequences ({seeds})"


def _quality(comparisons: list[QualityComparison]) -> str:
    tested = [item for item in comparisons if item.conclusion is not None and item.seeds >= ENOUGH_SEEDS]
    if not tested:
        few = f"Fewer than {ENOUGH_SEEDS} seeds cannot tell whether two implementations learn equally well."
        return few if comparisons else ""
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


def _middle(test: MiddleTest) -> str:
    """Whether the original's remark held in the trained networks."""
    remark = f"Do errors gather mid-sequence, as the original's author remarked? At length {test.length}"
    if not test.middles:
        return f"{remark} too few sequences have a wrong bit to tell."
    return f"{remark} {_verdict(test)}: {_shares(test)}."


def _verdict(test: MiddleTest) -> str:
    n = len(test.middles)
    if test.n_fuller == n:
        return f"yes, in {'each of the ' if n > 1 else 'the '}{f'{n} networks' if n > 1 else 'network'} tested"
    if test.n_fuller == 0:
        return f"no ({n} tested, {test.n_emptier} with fewer errors there than elsewhere)"
    return f"in {test.n_fuller} of the {n} networks tested"


def _shares(test: MiddleTest) -> str:
    shares = [middle.share.estimate for middle in test.middles]
    found, even = span(percent(min(shares)), percent(max(shares))), percent(test.middles[0].even_share)
    return f"the middle third holds {found} of the wrong bits, where {even} would be even"
