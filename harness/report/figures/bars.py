"""Bars: what was trained a second, how much of the machine's ceiling that is, where the time went, and what else
training and inference cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.costs import Cost, Costs
from harness.analysis.speed import Speed
from harness.analysis.stats import Interval, scale_interval
from harness.analysis.variants import Variant
from harness.records.stages import PARTS, TRAINING
from harness.report.figures.style import (
    INK,
    PAGE,
    QUIET,
    TEXT,
    colour,
    finish_axes,
    make_panels,
    plain,
    tell,
)
from harness.report.quantities import number, percent, span

INTERVAL, PERCENTILES = "95 % interval of the median over processes", "5th to 95th percentile of steps"
# Inches, and so is the y axis: half a bar, a line of the text above it, the space below, and what the axis takes.
HALF_BAR, TEXT_LINE, GAP, MARGIN = 0.13, 0.21, 0.12, 1.2
# Not the frameworks' colours, so that no part is taken for one.
PART_COLOURS = ("#009E73", "#56B4E9", "#CC79A7", "#F0E442", "#8C8C8C", "#BFBFBF")


@dataclass(frozen=True)
class CostPanel:
    """A panel of plot_costs: scale makes its unit of the cost's; what else its labels tell has words before it."""

    name: Cost
    title: str
    unit: str
    scale: float = 1.0
    beside: tuple[str, Cost] | None = None

    def has_bar(self, costs: Costs) -> bool:
        return self.name in costs and costs[self.name].estimate > 0

    def measure(self, costs: Costs) -> Interval | None:
        """In the panel's unit; None where no record tells it."""
        return scale_interval(costs[self.name], self.scale) if self.name in costs else None

    def describe(self, costs: Costs) -> str:
        """What stands above a bar."""
        cost = self.measure(costs)
        told = _describe_interval(cost, self.unit) if cost else "not measured"
        if self.beside is None or self.beside[1] not in costs:
            return told
        words, name = self.beside
        return f"{told}\n{words} {number(self.scale * costs[name].estimate)} {self.unit}"


COST_PANELS = (
    CostPanel("peak_memory_bytes", "Peak memory", "MiB", 1 / 2**20, beside=("whole process", "process_memory_bytes")),
    CostPanel("cpu_ms", "CPU time of a training step", "ms"),
    CostPanel("inference_sequences_per_s", "Inference of many sequences", "sequences/s"),
    CostPanel("latency_ms", "Inference of one sequence", "ms", beside=("95th percentile", "latency_p95_ms")),
)


def plot_throughput(analysis: Analysis) -> Figure | None:
    """Sequences a second, a bar for each variant. Whiskers are the interval of the median where there are repeats,
    otherwise they go from the slow to the fast steps. A line at each bar is the ceiling in its precision."""
    variants = analysis.variants
    timed = [(variant, variant.speed) for variant in variants if variant.speed]
    if not timed:
        return None
    labels = [f"{variant.marked_label}\n{_describe_speed(speed)}" for variant, speed in timed]
    figure, (axes,), rows = _make_bars([labels])
    whiskers = INTERVAL if any(len(speed.rates) > 1 for _, speed in timed) else PERCENTILES
    for row, (variant, speed) in zip(rows, timed, strict=True):
        rate = speed.sequences_per_s.estimate
        _draw_bar(axes, row, rate, variant, variants)
        _draw_whisker(axes, row, _whisker(speed, whiskers))
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
    figure, (axes,), rows = _make_bars([labels])
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
    figure, (axes,), rows = _make_bars([labels], n_legend_rows=len(PARTS))
    for row, parts in zip(rows, times.values(), strict=True):
        _stack(axes, row, parts)
    _finish_bars(axes, "Where the time went", "seconds of the median process")
    handles = [Patch(color=tint, label=part) for part, tint in zip(PARTS, PART_COLOURS, strict=True)]
    figure.legend(handles=handles, loc="outside lower left", frameon=False, fontsize=TEXT, labelspacing=0.3)
    return figure


def plot_costs(analysis: Analysis) -> Figure | None:
    """Panels of peak memory, CPU time a step and inference, each with a bar for each variant; whiskers are the interval
    of the median over processes. A panel that no record has a value for is left out."""
    known = [(variant, variant.costs) for variant in analysis.variants if variant.costs]
    panels = [panel for panel in COST_PANELS if any(panel.has_bar(costs) for _, costs in known)]
    if not panels:
        return None
    labels = [[f"{variant.marked_label}\n{panel.describe(costs)}" for variant, costs in known] for panel in panels]
    whiskers = "; whiskers: 95 % interval" if any(len(variant.cells) > 1 for variant, _ in known) else ""
    figure, drawn, rows = _make_bars(labels)
    for axes, panel in zip(drawn, panels, strict=True):
        for row, (variant, costs) in zip(rows, known, strict=True):
            if cost := panel.measure(costs):
                _draw_bar(axes, row, cost.estimate, variant, analysis.variants)
                _draw_whisker(axes, row, cost)
        _finish_bars(axes, panel.title, f"{panel.unit}{whiskers}")
    return figure


def _make_bars(panels: Sequence[Sequence[str]], n_legend_rows: int = 0) -> tuple[Figure, list[Axes], list[float]]:
    """A panel for each sequence of labels, all of one length, with a bar below each, the first at the top; and the
    heights of the bars, the same in every panel."""
    texts = [["\n".join(map(plain, label.split("\n"))) for label in labels] for labels in panels]
    text_height = TEXT_LINE * (1 + max(text.count("\n") for each in texts for text in each))
    row_height = text_height + 2 * HALF_BAR + GAP
    rows = [row_height * place for place in range(len(texts[0]))]
    figure, drawn = make_panels(len(panels), n_legend_rows, height=MARGIN + row_height * len(rows))
    for axes, each in zip(drawn, texts, strict=True):
        place = axes.get_yaxis_transform()
        for row, text in zip(rows, each, strict=True):
            axes.text(0, row - 1.2 * HALF_BAR, text, va="bottom", fontsize=TEXT, color=INK, transform=place)
        axes.set_yticks([])
        axes.set_ylim(rows[-1] + 2 * HALF_BAR, -text_height - 1.5 * HALF_BAR)
    return figure, drawn, rows


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


def _draw_whisker(axes: Axes, row: float, at: Interval) -> None:
    """Across the end of the bar, from bound to bound; none where there are none."""
    if at.low is not None and at.high is not None and at.high > at.low:
        ends = [[at.estimate - at.low], [at.high - at.estimate]]
        axes.errorbar(at.estimate, row, xerr=ends, color=INK, capsize=4, linewidth=1.2)


def _stack(axes: Axes, row: float, parts: dict[str, float]) -> None:
    """The parts side by side, each telling its seconds."""
    start = 0.0
    for (name, seconds), tint in zip(parts.items(), PART_COLOURS, strict=True):
        if seconds > 0:
            (part,) = axes.barh(row, seconds, 2 * HALF_BAR, start, color=tint)
            tell(part, f"{name}: {number(seconds)} s")
            start += seconds


def _describe_speed(speed: Speed) -> str:
    share = "" if speed.ceiling_share is None else f"\n{percent(speed.ceiling_share)} of the ceiling"
    return _describe_interval(speed.sequences_per_s, "sequences/s") + share


def _describe_interval(interval: Interval, unit: str) -> str:
    bounds = span(number(interval.low), number(interval.high))
    return f"{number(interval.estimate)} {unit}" + (f" ({bounds})" if bounds else "")


def _describe_times(parts: dict[str, float]) -> str:
    total = sum(parts.values())
    return f"{number(total)} s, {percent(parts[TRAINING] / total)} in training steps"


def _whisker(speed: Speed, whiskers: str) -> Interval:
    """The lowest and the highest sequences/s that the whisker reaches, if there is one."""
    rate = speed.sequences_per_s
    if whiskers == INTERVAL:
        return rate
    step, slow, fast = _step_times_ms(speed)
    ends = rate.estimate * step / slow, rate.estimate * step / fast
    return Interval(rate.estimate, min(ends[0], rate.estimate), max(ends[1], rate.estimate))


def _step_times_ms(speed: Speed) -> tuple[float, float, float]:
    """Median, 95th and 5th percentile of the steady steps, each the median over cells, ms."""
    percentiles = [np.percentile(measures.step_ms(cell), [50, 95, 5]) for cell in speed.cells]
    step, slow, fast = np.median(percentiles, axis=0)
    return float(step), float(slow), float(fast)
