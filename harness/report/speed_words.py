"""What the run shows of speed, in words: who is fastest, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.analysis import Analysis
from harness.analysis.comparisons import BUSY, LEFT_FASTER, Comparison, compare_fastest
from harness.analysis.stats import ENOUGH_SAMPLES, Interval, excludes_one
from harness.analysis.variants import Place, Variant
from harness.report.quantities import join, number, percent, ratio, span

DOUBTFUL = "a difference shows where there is none"
TOO_FEW = "too few processes for an interval"


def conclude_speed(analysis: Analysis) -> list[str]:
    """Sentences: the fastest of each precision and device, implementations of one framework, noise floor, ceiling."""
    places, comparisons = analysis.places, analysis.comparisons
    if not places:
        return ["No implementation gave a throughput that can be ranked."]
    said: list[str] = []
    for place in places:
        where = f"in {place.name}" if len(places) > 1 else "on this run"
        said += [_fastest(place, comparisons, where), *_rounds(place, where)]
    within = _within_frameworks(analysis.ranked, comparisons)
    return [*said, *within, *describe_bounds(analysis), *_overhead(analysis.ranked)]


def describe_bounds(analysis: Analysis) -> list[str]:
    """The noise floor below which no difference counts, and the ceilings above which no speed is to be expected."""
    return [*([describe_floor(analysis.a_a)] if analysis.a_a else []), *_ceilings(analysis)]


def describe_floor(item: Comparison) -> str:
    """The ratio of the A/A pair, whether it is as it must be, and what follows for others."""
    found = f"Noise floor: {item.left} against itself has the ratio {ratio(item.ratio.estimate)}"
    if item.ratio.low is None:
        found += ", from one pair of processes"
    else:
        found += f"{_bounds(item.ratio)}, from {item.repeats} pairs of processes: "
        found += DOUBTFUL if excludes_one(item.ratio) else "no difference is shown, as it must be"
    return f"{found}. Between others, a ratio of up to {ratio(item.noise_floor)} shows no difference."


def refuse_ranking(place: Place) -> str:
    """Why a place whose cells ran beside other work has no ranking."""
    who = place.ranked[0].label if len(place.ranked) == 1 else "the cells compared"
    return f"no ranking: other processes used up to {percent(place.busy_share)} of the processors while {who} trained"


def interval_text(interval: Interval, n_least: int) -> str:
    """The bounds of a ratio, with the number of processes where it is small."""
    bounds = span(ratio(interval.low), ratio(interval.high))
    if not bounds:
        return TOO_FEW
    return f"{bounds}, from as few as {n_least} processes" if n_least < ENOUGH_SAMPLES else bounds


def _fastest(place: Place, comparisons: list[Comparison], where: str) -> str:
    fastest, *others = place.ranked
    if place.busy_share is not None:
        return f"In {place.name}, {refuse_ranking(place)}."
    if not others:
        return f"The only implementation with a throughput to rank {where} was {_rate(fastest)}."
    compared = compare_fastest(place, comparisons)
    close = [item for item in compared if item.conclusion != LEFT_FASTER]
    clear = [f"{_times(item)} {item.right}{_bounds(item.ratio)}" for item in compared if item not in close]
    begin = f"The highest rate in training {where} was that of" if close else f"Fastest in training {where} was"
    sentence = f"{begin} {_rate(fastest)}"
    sentence += f": {join(clear)}." if clear else "."
    if close:
        sentence += f" No difference is shown between it and {join([_against(item) for item in close])}."
    return sentence


def _rounds(place: Place, where: str) -> Iterator[str]:
    """Which processes the speeds of a place are of, where that are not simply all."""
    rounds, n_others = place.shared_rounds, place.n_left_out
    if rounds is None:
        yield (
            f"No seed and repeat is common to all implementations ranked {where}, so each speed is of all processes of"
            " its implementation, and ratios are unpaired."
        )
    elif n_others:
        n_rounds = len(rounds)
        yield (
            f"Speeds {where} are of the {n_rounds} {'pairs' if n_rounds > 1 else 'pair'} of seed and repeat that all"
            f" {len(place.ranked)} ranked implementations have; {n_others} more"
            f" {'processes have' if n_others > 1 else 'process has'} no part in them."
        )


def _rate(variant: Variant) -> str:
    if variant.speed is None:
        return variant.label
    rate, share = variant.speed.sequences_per_s, variant.speed.ceiling_share
    ceiling = "" if share is None else f" and {percent(share)} of the ceiling"
    bounds = span(number(rate.low), number(rate.high))
    interval = f" (95 % interval {bounds})" if bounds else ""
    return f"{variant.label}, with {number(rate.estimate)} sequences/s{interval}{ceiling}"


def _within_frameworks(ranked: list[Variant], comparisons: list[Comparison]) -> Iterator[str]:
    """How the implementations of one framework compare, the frameworks in order of name."""
    backends = {variant.label: variant.backend for variant in ranked}
    pairs = [item for item in comparisons if not item.is_a_a and backends[item.left] == backends[item.right]]
    judged = [item for item in pairs if item.conclusion != BUSY]
    if judged:
        said = [_say(item) for item in sorted(judged, key=lambda item: backends[item.left])]
        yield f"Within a framework, {join(said)}."


def _say(item: Comparison) -> str:
    if item.conclusion != LEFT_FASTER:
        return f"no difference is shown between {item.left} and {_against(item)}"
    return f"{item.left} is {_times(item)} as fast as {item.right}{_bounds(item.ratio)}"


def _ceilings(analysis: Analysis) -> Iterator[str]:
    for (precision, device), best in analysis.ceilings.items():
        yield (
            f"The ceiling in {precision} on {device} is {number(best.gflop_per_s)} GFLOP/s, the best median rate of a"
            f" matrix product: {best.shape} by {best.multiplier}."
        )


def _overhead(ranked: list[Variant]) -> Iterator[str]:
    known = {v.label: v.speed.overhead_share for v in ranked if v.speed and v.speed.overhead_share is not None}
    if known:
        label, share = max(known.items(), key=lambda pair: pair[1])
        yield (
            "The suite's own work between training calls (waiting for data, timing, recording) took at most"
            f" {percent(share)} of the steady time ({label})."
        )


def _times(item: Comparison) -> str:
    return f"{ratio(item.ratio.estimate)} times"


def _against(item: Comparison) -> str:
    return f"{item.right} (ratio {ratio(item.ratio.estimate)}, {interval_text(item.ratio, ENOUGH_SAMPLES)})"


def _bounds(interval: Interval) -> str:
    bounds = span(ratio(interval.low), ratio(interval.high))
    return f" ({bounds})" if bounds else ""
