"""Draw how well networks copy by training sequences and by seconds: published runs beside published baselines.

    python scripts/draw_evidence.py full=FOLDER original=FOLDER --out evidence.png

Each folder is that of a run; its lines are the evaluations on validation data that its records hold, of an
implementation's seeds the median. The baselines are not ours, and no source tells their seconds:

    Collier and Beel   Implementing Neural Turing Machines, arXiv 1807.08518: wrong bits a sequence of the LSTM on
                       lengths 1 to 20, three runs, read off the figure by eye
    the original       github.com/ajithcodesit/lstm_copy_task: a loss of about 0.0080 after 4,000,000 sequences
    the paper          Graves, Wayne and Danihelka, arXiv 1410.5401: bits a sequence of an LSTM of another wiring, read
                       off the figure by eye, to a factor of two
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from harness.analysis.analysis import Analysis, analyse
from harness.records.durable import write_bytes
from harness.records.reading import read_run
from harness.report.figures.quality import EFFORTS, MEASURES, STAR, finish_quality, median_curve
from harness.report.figures.style import INK, LINE_WIDTH, colour, encode_png, make_panels, name_lines, own_settings
from harness.task.presets import ConfigurationError

# By measure: who published it, and values by training sequences.
BASELINES: Mapping[str, tuple[str, Mapping[int, float]]] = {
    "wrong_bits_per_sequence": (
        "Collier and Beel",
        {
            6_000: 31.0,
            38_000: 20.0,
            64_000: 10.0,
            115_000: 5.5,
            180_000: 2.3,
            235_000: 1.0,
            380_000: 0.5,
            500_000: 0.2,
        },
    ),
    "original_loss": ("the original's page", {4_000_000: 0.0080}),
    "bits_per_sequence": ("the paper", {100_000: 4.8, 300_000: 1.2, 600_000: 0.5}),
}
X_TICKS = {"sequences": (1.0,), "elapsed_s": (1.0, 2.0, 5.0)}
BASELINE: dict[str, Any] = {"color": INK, "linewidth": 1, "markersize": 4}
MARKERS = {"wrong_bits_per_sequence": "o", "bits_per_sequence": "s"}
STYLES = ("-", "--", ":", "-.")


def plot_evidence(analyses: Mapping[str, Analysis]) -> Figure:
    """Each measure by each effort; a colour for each framework, a style of line for each run."""
    n_lines = sum(len(analysis.variants) for analysis in analyses.values()) + len(BASELINES)
    figure, panels = make_panels(len(MEASURES) * len(EFFORTS), n_lines)
    shown = [(quality, effort) for quality in MEASURES for effort in EFFORTS]
    for axes, (quality, effort) in zip(panels, shown, strict=True):
        for style, (name, analysis) in zip(cycle(STYLES), analyses.items()):
            _draw_run(axes, name, analysis, (quality, effort), {"linestyle": style, "linewidth": LINE_WIDTH})
        if effort == "sequences":
            _draw_baseline(axes, quality)
        axes.set_xscale("log")
        finish_quality(axes, next(iter(analyses.values())), effort, quality)
        axes.xaxis.set_major_locator(LogLocator(subs=X_TICKS[effort]))
        axes.xaxis.set_minor_locator(NullLocator())
    for effort_panels in (panels[place :: len(EFFORTS)] for place in range(len(EFFORTS))):
        for other in effort_panels[1:]:
            other.sharex(effort_panels[0])
    # The legend is that of the panel with the most names.
    for quality, marker in MARKERS.items():
        panels[0].plot([math.nan], [math.nan], **BASELINE, marker=marker, label=BASELINES[quality][0])
    name_lines(figure, panels)
    return figure


def _draw_run(axes: Axes, name: str, analysis: Analysis, shown: tuple[str, str], style: dict[str, Any]) -> None:
    quality, effort = shown
    for variant in analysis.variants:
        if all(cell.evaluations for cell in variant.cells):
            curve = median_curve(variant, effort), median_curve(variant, quality)
            tint = colour(variant, analysis.variants)
            axes.plot(*curve, color=tint, label=f"{name}, {variant.label}", **style)


def _draw_baseline(axes: Axes, quality: str) -> None:
    """A line or, of a single value, a star."""
    name, values = BASELINES[quality]
    if len(values) == 1:
        axes.scatter([*values], [*values.values()], **STAR, color=INK, label=name)
    else:
        axes.plot([*values], [*values.values()], **BASELINE, marker=MARKERS[quality], label=name)


@own_settings()
def main() -> None:
    """Read the runs, draw, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER", help="a run and how to call it, the best first")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    options = parser.parse_args()
    folders = {name: folder for name, _, folder in (run.partition("=") for run in options.runs)}
    if not all(folders.values()):
        parser.error("a run is NAME=FOLDER")
    try:
        analyses = {name: analyse(read_run(Path(folder))) for name, folder in folders.items()}
        write_bytes(options.out, encode_png(plot_evidence(analyses)))
    except (ConfigurationError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
