"""Bars of the page: where the time of a process went, and how much of the machine's ceiling each variant reached."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.variants import Variant
from harness.records.stages import PARTS, TOTAL, TRAINING, part_of
from harness.records.structs import Cell
from harness.report.figures.svg import css_colour
from harness.report.quantities import number, percent

# Not the frameworks' colours, so that no part is taken for one.
PART_COLOURS = ("#009E73", "#56B4E9", "#CC79A7", "#F0E442", "#8C8C8C", "#BFBFBF")


@dataclass(frozen=True)
class Segment:
    """A part of a bar, its width in per cent of the longest bar; text says what it is and how much."""

    width: float
    colour: str
    text: str


@dataclass(frozen=True)
class Bar:
    label: str
    segments: list[Segment]
    text: str


@dataclass(frozen=True)
class BarChart:
    """Bars one below the other; the legend names the colours, where they mean something: (name, colour). A line crosses
    all bars at the mark, in per cent of the longest."""

    bars: list[Bar]
    legend: list[tuple[str, str]]
    mark: float | None = None


def stack_times(variants: list[Variant]) -> BarChart:
    """Seconds of each part of a variant's median process, on one scale for all; training steps first."""
    times = {variant: _part_times(variant.cells) for variant in variants}
    known = {variant: parts for variant, parts in times.items() if sum(parts.values()) > 0}
    longest = max((sum(parts.values()) for parts in known.values()), default=1.0)
    bars = [Bar(v.marked_label, _segments(parts, longest), _total(parts)) for v, parts in known.items()]
    return BarChart(bars, list(zip(PARTS, PART_COLOURS, strict=True)))


def show_ceiling(variants: list[Variant]) -> BarChart:
    """Each variant's share of the ceiling, which the mark shows; the longest bar may go beyond it."""
    shares = [(v, v.speed.ceiling_share) for v in variants if v.speed and v.speed.ceiling_share is not None]
    full = max([1.0, *(share for _, share in shares)])
    return BarChart([_share_bar(variant, share, full, variants) for variant, share in shares], [], round(100 / full, 2))


def _part_times(cells: list[Cell]) -> dict[str, float]:
    """Those of the process whose total is the median, the lower of two: medians of each stage would not add up."""
    times = dict.fromkeys(PARTS, 0.0)
    timelines = sorted((cell.timeline for cell in cells if cell.timeline), key=lambda each: each.get(TOTAL) or 0.0)
    for stage, seconds in timelines[(len(timelines) - 1) // 2].items() if timelines else ():
        # Rounding of clocks may leave a stage below zero.
        if stage != TOTAL and seconds is not None and seconds > 0:
            times[part_of(stage)] += seconds
    return times


def _segments(parts: dict[str, float], longest: float) -> list[Segment]:
    return [
        Segment(round(100 * seconds / longest, 2), colour, f"{name}: {number(seconds)} s")
        for (name, seconds), colour in zip(parts.items(), PART_COLOURS, strict=True)
        if seconds > 0
    ]


def _total(parts: dict[str, float]) -> str:
    total = sum(parts.values())
    return f"{number(total)} s, {percent(parts[TRAINING] / total)} in training steps"


def _share_bar(variant: Variant, share: float, full: float, variants: list[Variant]) -> Bar:
    operations = variant.speed.gflop_per_s if variant.speed else None
    text = f"{percent(share)}, {number(operations)} GFLOP/s"
    return Bar(variant.marked_label, [Segment(round(100 * share / full, 2), css_colour(variant, variants), text)], text)
