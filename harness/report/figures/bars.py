"""Bars: what was trained a second, how much of the machine's ceiling that is, and where the time went."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.speed import Speed
from harness.analysis.variants import Variant
from harness.records.stages import PARTS, TRAINING
from harness.report.figures.style import (
    INK,
    LEGEND_ROW,
    PAGE,
    PANEL_WIDTH,
    QUIET,
    TEXT,
    colour,
    finish_axes,
    make_figure,
    plain,
    tell,
)
from harness.report.quantities import number, percent, span

INTERVAL, PERCENTILES = "95 % interval of the median over processes", "5th to 95th percentile of steps"
# Inches, and so is the y axis: half a bar, a line of the text above it, the space below, and what the axis takes.
HALF_BAR, TEXT_LINE, GAP, MARGIN = 0.13, 0.21, 0.12, 1.2
# Not the frameworks' colours, so that no part is taken for one.
PART_COLOURS = ("#009E73", "#56B4E9", "#CC79A7", "#F0E442", "#8C8C8C", "#BFBFBF")


def plot_throughput(analysis: Analysis) -> Figure | None:
    """Sequences a second, a bar for each variant. Whiskers are the interval of the median where there are repeats,
    otherwise they go from the slow to the fast steps. A line at each bar is the ceiling in its precision."""
    variants = analysis.variants
    timed = [(variant, variant.speed) for variant in variants if variant.speed]
    if not timed:
        return None
    figure, axes, rows = _make_bars([f"{variant.marked_label}\n{_describe_speed(speed)}" for variant, speed in timed])
    whiskers = INTERVAL if any(len(speed.rates) > 1 for _, speed in timed) else PERCENTILES
    for row, (variant, speed) in zip(rows, timed, strict=True):
        rate = speed.sequences_per_s.estimate
        low, high = _whisker(speed, whiskers)
        _draw_bar(axes, row, rate, variant, variants)
        if high > low:
            axes.errorbar(rate, row, xerr=[[rate - low], [high - rate]], color=INK, capsize=4, linewidth=1.2)
        if speed.ceiling_share:
            ends = row - 1.5 * HALF_BAR, row + 1.5 * HALF_BAR
            axes.vlines(rate / speed.ceiling_share, *ends, color=QUIET, linewidth=2)
    has_ceiling = any(speed.ceiling_share for _, speed in timed)
    ceiling = "; line: the ceiling" if has_ceiling else ""
    _finish_bars(axes, "Training throughput", f"sequences a second{ceiling};\nwhiskers: {whiskers}")
    return figure


def plot_ceiling(analysis: Analysis) -> Figure | None:
    """Each variant's share of the ceiling, with a line across all bars at 100 %; a bar may go beyond it."""
    variants = analysis.variants
    shares = [(v, v.speed, v.speed.ceiling_share) for v in variants if v.speed and v.speed.ceiling_share is not None]
    if not shares:
        return None
    labels = [f"{v.marked_label}\n{percent(share)}, {number(speed.gflop_per_s)} GFLOP/s" for v, speed, share in shares]
    figure, axes, rows = _make_bars(labels)
    for row, (variant, _, share) in zip(rows, shares, strict=True):
        _draw_bar(axes, row, 100 * share, variant, variants)
    axes.axvline(100, color=QUIET, linewidth=2)
    _finish_bars(axes, "Share of the machine's ceiling", "% of the ceiling's GFLOP/s; line: the ceiling, 100 %")
    return figure


def plot_times(analysis: Analysis) -> Figure | None:
    """Seconds of each part of a variant's median process, on one scale for all; training steps first."""
    times = analysis.times
    if not times:
        return None
    labels = [f"{variant.marked_label}\n{_describe_times(parts)}" for variant, parts in times.items()]
    figure, axes, rows = _make_bars(labels, n_legend_rows=len(PARTS))
    for row, parts in zip(rows, times.values(), strict=True):
        _stack(axes, row, parts)
    _finish_bars(axes, "Where the time went", "seconds of the median process")
    handles = [Patch(color=tint, label=part) for part, tint in zip(PARTS, PART_COLOURS, strict=True)]
    figure.legend(handles=handles, loc="outside lower left", frameon=False, fontsize=TEXT, labelspacing=0.3)
    return figure


def _make_bars(labels: Sequence[str], n_legend_rows: int = 0) -> tuple[Figure, Axes, list[float]]:
    """Axes for a bar below each label, the first at the top, and the heights of the bars."""
    texts = ["\n".join(map(plain, label.split("\n"))) for label in labels]
    text_height = TEXT_LINE * (1 + max(text.count("\n") for text in texts))
    row_height = text_height + 2 * HALF_BAR + GAP
    figure = make_figure(PANEL_WIDTH, MARGIN + row_height * len(labels) + LEGEND_ROW * n_legend_rows)
    axes = figure.subplots()
    rows = [row_height * place for place in range(len(labels))]
    place = axes.get_yaxis_transform()
    for row, text in zip(rows, texts, strict=True):
        axes.text(0, row - 1.2 * HALF_BAR, text, va="bottom", fontsize=TEXT, color=INK, transform=place)
    axes.set_yticks([])
    axes.set_ylim(rows[-1] + 2 * HALF_BAR, -text_height - 1.5 * HALF_BAR)
    return figure, axes, rows


def _finish_bars(axes: Axes, title: str, x_label: str) -> None:
    axes.set_xlim(0, 1.03 * axes.dataLim.x1)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    finish_axes(axes, title, x_label, "", grid="x")
    axes.spines["left"].set_visible(False)


def _draw_bar(axes: Axes, row: float, width: float, variant: Variant, variants: list[Variant]) -> None:
    """Hatched where the variant did not pass verification."""
    hatch = "//" if variant.verified is False else None
    edge = PAGE if hatch else None
    axes.barh(row, width, 2 * HALF_BAR, color=colour(variant, variants), hatch=hatch, edgecolor=edge)


def _stack(axes: Axes, row: float, parts: dict[str, float]) -> None:
    """The parts side by side, each telling its seconds."""
    start = 0.0
    for (name, seconds), tint in zip(parts.items(), PART_COLOURS, strict=True):
        if seconds > 0:
            (part,) = axes.barh(row, seconds, 2 * HALF_BAR, start, color=tint)
            tell(part, f"{name}: {number(seconds)} s")
            start += seconds


def _describe_speed(speed: Speed) -> str:
    rate = speed.sequences_per_s
    bounds = span(number(rate.low), number(rate.high))
    interval = f" ({bounds})" if bounds else ""
    share = "" if speed.ceiling_share is None else f"\n{percent(speed.ceiling_share)} of the ceiling"
    return f"{number(rate.estimate)} sequences/s{interval}{share}"


def _describe_times(parts: dict[str, float]) -> str:
    total = sum(parts.values())
    return f"{number(total)} s, {percent(parts[TRAINING] / total)} in training steps"


def _whisker(speed: Speed, whiskers: str) -> tuple[float, float]:
    """The lowest and the highest sequences/s that the whisker reaches; the bar's end twice for no whisker."""
    rate = speed.sequences_per_s
    if whiskers == INTERVAL:
        return rate.low or rate.estimate, rate.high or rate.estimate
    step, slow, fast = _step_times_ms(speed)
    return min(rate.estimate * step / slow, rate.estimate), max(rate.estimate * step / fast, rate.estimate)


def _step_times_ms(speed: Speed) -> tuple[float, float, float]:
    """Median, 95th and 5th percentile of the steady steps, each the median over cells, ms."""
    percentiles = [np.percentile(measures.step_ms(cell), [50, 95, 5]) for cell in speed.cells]
    step, slow, fast = np.median(percentiles, axis=0)
    return float(step), float(slow), float(fast)
