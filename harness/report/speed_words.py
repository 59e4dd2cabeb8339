"""What the run shows of speed, in words: who is fastest, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.ceiling import find_ceilings
from harness.report.comparisons import Comparison, compare_all
from harness.report.quantities import join, number, percent, ratio, span
from harness.report.records import Run
from harness.report.variants import Variant
from harness.stats import Interval

Place = tuple[str, str]


def conclude_speed(run: Run, variants: list[Variant]) -> list[str]:
    """Sentences: the fastest of each precision and device, implementations of one framework, noise floor, ceiling."""
    ranked = [variant for variant in variants if variant.is_ranked]
    if not ranked:
        return ["No implementation gave a throughput that can be ranked."]
    comparisons = compare_all(run, variants)
    places = list(dict.fromkeys((variant.precision, variant.device) for variant in ranked))
    fastest = [_fastest(place, ranked, comparisons, is_only_place=len(places) == 1) for place in places]
    compared = [*fastest, *_within_frameworks(ranked, comparisons)]
    return [*compared, *describe_bounds(run, comparisons), *_overhead(ranked)]


def describe_bounds(run: Run, comparisons: list[Comparison]) -> list[str]:
    """The noise floor below which no difference counts, and the ceilings above which no speed is to be expected."""
    return [describe_floor(item) for item in comparisons if item.is_a_a] + list(_ceilings(run))


def _fastest(place: Place, ranked: list[Variant], comparisons: list[Comparison], *, is_only_place: bool) -> str:
    fastest, *others = [variant for variant in ranked if (variant.precision, variant.device) == place]
    where = "" if is_only_place else f", in {' on '.join(part for part in place if part)},"
    if not others:
        return f"The only implementation with a throughput to rank{where} was {_rate(fastest)}."
    rivals = {other.label for other in others}
    compared = [item for item in comparisons if item.left == fastest.label and item.right in rivals]
    close = [item for item in compared if item.conclusion == "no difference shown"]
    clear = [f"{_times(item)} {item.right}{_bounds(item.ratio)}" for item in compared if item not in close]
    sentence = f"Fastest in training on this run{where} was {_rate(fastest)}"
    sentence += f": {join(clear)}." if clear else "."
    if close:
        sentence += f" No difference is shown between it and {join([_against(item) for item in close])}."
    return sentence


def _rate(variant: Variant) -> str:
    if variant.speed is None:
        return variant.label
    rate, share = variant.speed.sequences_per_s, variant.speed.ceiling_share
    ceiling = "" if share is None else f" and {percent(share)} of the ceiling"
    bounds = _bounds(rate, "95 % interval ")
    return f"{variant.label}, with {number(rate.estimate)} sequences/s{bounds}{ceiling}"


def _within_frameworks(ranked: list[Variant], comparisons: list[Comparison]) -> Iterator[str]:
    """How the implementations of one framework compare, the frameworks in order of name."""
    backends = {variant.label: variant.backend for variant in ranked}
    pairs = [item for item in comparisons if not item.is_a_a and backends[item.left] == backends[item.right]]
    said = [_say(item) for item in sorted(pairs, key=lambda item: backends[item.left])]
    if said:
        yield f"Within a framework, {join(said)}."


def _say(item: Comparison) -> str:
    if item.conclusion == "no difference shown":
        return f"no difference is shown between {item.left} and {_against(item)}"
    return f"{item.left} is {_times(item)} as fast as {item.right}{_bounds(item.ratio)}"


def describe_floor(item: Comparison) -> str:
    """The ratio of the A/A pair, and whether it is as it must be."""
    ratio_text = f"Noise floor: {item.left} against itself has the ratio {ratio(item.ratio.estimate)}"
    if item.ratio.low is None:
        return f"{ratio_text}, from one pair of processes; what differs by less may not differ at all."
    found = f"{ratio_text}{_bounds(item.ratio)}, from {item.repeats} pairs of processes"
    if item.conclusion == "no difference shown":
        return f"{found}: no difference is shown, as it must be."
    return f"{found}: a difference shows where there is none, so one of this size means nothing between others."


def _ceilings(run: Run) -> Iterator[str]:
    for (precision, device), best in find_ceilings(run.products).items():
        yield (
            f"The ceiling in {precision} on {device} is {number(best.gflop_per_s)} GFLOP/s, the best median rate of a"
            f" matrix product: {best.shape} by {best.multiplier}."
        )


def _overhead(ranked: list[Variant]) -> Iterator[str]:
    known = {v.label: v.speed.overhead_share for v in ranked if v.speed and v.speed.overhead_share is not None}
    if known:
        label, share = max(known.items(), key=lambda pair: pair[1])
        yield (
            "The suite's own work between training calls (making data, timing, recording) took at most"
            f" {percent(share)} of the steady time ({label})."
        )


def _times(item: Comparison) -> str:
    return f"{ratio(item.ratio.estimate)} times"


def _against(item: Comparison) -> str:
    bounds = span(ratio(item.ratio.low), ratio(item.ratio.high))
    return f"{item.right} (ratio {ratio(item.ratio.estimate)}, {bounds})"


def _bounds(interval: Interval, name: str = "") -> str:
    show = number if name else ratio
    bounds = span(show(interval.low), show(interval.high))
    return f" ({name}{bounds})" if bounds else ""
