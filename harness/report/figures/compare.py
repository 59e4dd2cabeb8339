"""The plot across runs: sequences a second of every variant, a bar for each run."""

from __future__ import annotations

from matplotlib.figure import Figure

from harness.analysis.compare.runs import ComparedRun
from harness.analysis.variants import Variant
from harness.report.figures.style import colour, finish_axes, make_figure, plain
from harness.report.quantities import number

BAR_HEIGHT = 0.76
GAP = 0.6
LOG_FROM_RATIO = 20


def plot_speeds(runs: list[ComparedRun]) -> Figure:
    """Bars in the framework's colour, a group for each variant, a row for each run; whiskers are the 95 % interval
    over processes. The axis is logarithmic where the rates are far apart."""
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
    rates = [variant.sequences_per_s or 0.0 for _, _, variant in rows]
    is_log = max(rates) > LOG_FROM_RATIO * min(rates)
    for place, _, variant in rows:
        axes.barh(place, variant.sequences_per_s or 0.0, BAR_HEIGHT, color=colour(variant, everything))
        low, high = _bounds(variant)
        axes.hlines(place, low, high, color="black", linewidth=1.4)
        axes.text(high, place, f"  {number(variant.sequences_per_s)}", va="center", fontsize=9)
    for place, name in names:
        axes.text(0, place + 0.1, f" {plain(name)}", va="center", fontsize=10, transform=axes.get_yaxis_transform())
    axes.set_yticks([place for place, _, _ in rows], [letter for _, letter, _ in rows])
    axes.set_ylim(at - GAP, -0.6)
    if is_log:
        axes.set_xscale("log")
    highest = max(high for _, _, variant in rows for high in _bounds(variant))
    axes.set_xlim(min(rates) / 2 if is_log else 0, highest * (2 if is_log else 1.15))
    axes.tick_params(axis="y", length=0)
    scale = " (log scale)" if is_log else ""
    finish_axes(
        axes, "Training throughput by run", f"sequences a second{scale}; lines: 95 % interval over processes", ""
    )
    axes.grid(visible=False, axis="y")
    return figure


def _bounds(variant: Variant) -> tuple[float, float]:
    if variant.speed is None:
        return 0.0, 0.0
    rate = variant.speed.sequences_per_s
    return rate.low or rate.estimate, rate.high or rate.estimate
