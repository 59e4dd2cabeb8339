"""The plot across runs: sequences a second of every variant, a bar for each run."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from harness.analysis.compare.runs import ComparedRun
from harness.analysis.variants import Variant
from harness.report.figures.style import INK, TEXT, colour, finish_axes, make_figure, plain
from harness.report.quantities import number

BAR_HEIGHT = 0.76
GAP = 0.6


def plot_speeds(runs: list[ComparedRun]) -> Figure:
    """Bars in the framework's colour, a group for each variant, a row for each run; whiskers are the 95 % interval
    over processes."""
    keys = dict.fromkeys(key for run in runs for key in run.variants)
    everything = [variant for run in runs for variant in run.variants.values()]
    rows, names, at = [], [], 0.0
    for key in keys:
        present = [(run.letter, run.variants[key]) for run in runs if key in run.variants and run.variants[key].speed]
        if present:
            names.append((at, runs[0].labels[key]))
            rows += [(at + 1 + place, letter, variant) for place, (letter, variant) in enumerate(present)]
            at += len(present) + 1 + GAP
    figure = make_figure(9, 1.2 + 0.3 * at)
    axes = figure.subplots()
    for place, _, variant in rows:
        axes.barh(place, variant.sequences_per_s or 0.0, BAR_HEIGHT, color=colour(variant, everything))
        low, high = _bounds(variant)
        axes.hlines(place, low, high, color=INK, linewidth=1.4)
        axes.text(high, place, f"  {number(variant.sequences_per_s)}", va="center", fontsize=TEXT, color=INK)
    for place, name in names:
        axes.text(0, place + 0.1, f" {plain(name)}", va="center", fontsize=TEXT, transform=axes.get_yaxis_transform())
    axes.set_yticks([place for place, _, _ in rows], [letter for _, letter, _ in rows])
    axes.set_ylim(at - GAP, -0.6)
    axes.set_xlim(0, 1.15 * max(high for _, _, variant in rows for high in _bounds(variant)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    x_label = "sequences a second; lines: 95 % interval over processes"
    finish_axes(axes, "Training throughput by run", x_label, "", grid="x")
    axes.tick_params(axis="y", length=0)
    return figure


def _bounds(variant: Variant) -> tuple[float, float]:
    if variant.speed is None:
        return 0.0, 0.0
    rate = variant.speed.sequences_per_s
    return rate.low or rate.estimate, rate.high or rate.estimate
