"""Bars of the page: where the time of a process went, and how much of the machine's ceiling each variant reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.report import measures
from harness.report.page.look import css_colour
from harness.report.quantities import number, percent
from harness.report.records import Cell
from harness.report.variants import Variant

# Not the frameworks' colours, so that no stage is taken for one.
STAGE_COLOURS = ("#009E73", "#56B4E9", "#CC79A7", "#F0E442", "#8C8C8C", "#BFBFBF")
STAGES = {
    "training steps": ("steady_s",),
    "import": ("import_s",),
    "build, compile and first step": ("build_s", "first_step_s"),
    "making the data": ("data_s",),
    "evaluation": ("evaluation_s",),
    "other": ("spawn_s", "ceiling_s", "other_s"),
}


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
    """Seconds of each stage, medians over a variant's processes, on one scale for all; training steps first."""
    times = {variant: _stage_times(variant.cells) for variant in variants}
    known = {variant: stages for variant, stages in times.items() if sum(stages.values()) > 0}
    longest = max((sum(stages.values()) for stages in known.values()), default=1.0)
    bars = [Bar(v.marked_label, _segments(stages, longest), _total(stages)) for v, stages in known.items()]
    return BarChart(bars, list(zip(STAGES, STAGE_COLOURS, strict=True)))


def show_ceiling(variants: list[Variant]) -> BarChart:
    """Each variant's share of the ceiling, which the mark shows; the longest bar may go beyond it."""
    shares = [(v, v.speed.ceiling_share) for v in variants if v.speed and v.speed.ceiling_share is not None]
    full = max([1.0, *(share for _, share in shares)])
    return BarChart([_share_bar(variant, share, full, variants) for variant, share in shares], [], round(100 / full, 2))


def _stage_times(cells: list[Cell]) -> dict[str, float]:
    return {name: sum(_median_s(cells, stage) for stage in stages) for name, stages in STAGES.items()}


def _median_s(cells: Iterable[Cell], stage: str) -> float:
    """Zero where no process reached the stage; nothing below zero, which rounding of clocks may leave."""
    return max(measures.median((cell.timeline or {}).get(stage) for cell in cells) or 0.0, 0.0)


def _segments(stages: dict[str, float], longest: float) -> list[Segment]:
    return [
        Segment(round(100 * seconds / longest, 2), colour, f"{name}: {number(seconds)} s")
        for (name, seconds), colour in zip(stages.items(), STAGE_COLOURS, strict=True)
        if seconds > 0
    ]


def _total(stages: dict[str, float]) -> str:
    total = sum(stages.values())
    return f"{number(total)} s, {percent(stages['training steps'] / total)} in training steps"


def _share_bar(variant: Variant, share: float, full: float, variants: list[Variant]) -> Bar:
    operations = variant.speed.gflop_per_s if variant.speed else None
    text = f"{percent(share)}, {number(operations)} GFLOP/s"
    return Bar(variant.marked_label, [Segment(round(100 * share / full, 2), css_colour(variant, variants), text)], text)
