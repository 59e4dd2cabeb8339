"""The plot of throughput: bars with whiskers, and how far the ceiling is."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis import measures
from harness.analysis.speed import Speed
from harness.analysis.variants import Variant
from harness.report.figures.style import INK, PAGE, PANEL_WIDTH, QUIET, TEXT, colour, finish_axes, make_figure, plain
from harness.report.quantities import number, percent, span

INTERVAL, PERCENTILES = "95 % interval of the median over processes", "5th to 95th percentile of steps"
BAR_HEIGHT = 0.3


def plot_throughput(variants: list[Variant]) -> Figure | None:
    """Sequences a second, a bar for each variant. Whiskers are the interval of the median where there are repeats,
    otherwise they go from the slow to the fast steps. A line at each bar is the ceiling in its precision."""
    timed = [(variant, variant.speed) for variant in variants if variant.speed]
    if not timed:
        return None
    figure = make_figure(PANEL_WIDTH, 1.3 + 0.85 * len(timed))
    axes = figure.subplots()
    whiskers = INTERVAL if any(len(speed.rates) > 1 for _, speed in timed) else PERCENTILES
    ranges = [_whisker(speed, whiskers) for _, speed in timed]
    ceilings = [_ceiling(speed) for _, speed in timed]
    farthest = max([high for _, high in ranges] + [ceiling for ceiling in ceilings if ceiling])
    for row, (variant, speed) in enumerate(timed):
        _draw_bar(axes, row, variant, speed, ranges[row], variants)
        _draw_ceiling(axes, row, ceilings[row])
        axes.text(
            0, row - 0.27, f"{plain(variant.marked_label)}\n{_label(speed)}", va="bottom", fontsize=TEXT, color=INK
        )
    axes.set_yticks([])
    axes.set_ylim(len(timed) - 0.6, -0.95)
    axes.set_xlim(0, 1.03 * farthest)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    ceiling = "; line: the ceiling" if any(ceilings) else ""
    finish_axes(axes, "Training throughput", f"sequences a second{ceiling};\nwhiskers: {whiskers}", "")
    axes.grid(visible=False, axis="y")
    return figure


def _draw_bar(
    axes: Axes, row: int, variant: Variant, speed: Speed, whisker: tuple[float, float], variants: list[Variant]
) -> None:
    rate = speed.sequences_per_s.estimate
    low, high = whisker
    hatch = "//" if variant.verified is False else None
    edge = PAGE if hatch else None
    axes.barh(row, rate, height=BAR_HEIGHT, color=colour(variant, variants), hatch=hatch, edgecolor=edge)
    if high > low:
        axes.errorbar(rate, row, xerr=[[rate - low], [high - rate]], color=INK, capsize=4, linewidth=1.2)


def _draw_ceiling(axes: Axes, row: int, ceiling: float | None) -> None:
    if ceiling is not None:
        axes.vlines(ceiling, row - 0.25, row + 0.25, color=QUIET, linewidth=2)


def _ceiling(speed: Speed) -> float | None:
    """Sequences a second at the ceiling's rate of operations."""
    return speed.sequences_per_s.estimate / speed.ceiling_share if speed.ceiling_share else None


def _label(speed: Speed) -> str:
    rate = speed.sequences_per_s
    bounds = span(number(rate.low), number(rate.high))
    interval = f" ({bounds})" if bounds else ""
    share = "" if speed.ceiling_share is None else f", {percent(speed.ceiling_share)} of the ceiling"
    return f"{number(rate.estimate)} a second{interval}{share}"


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
