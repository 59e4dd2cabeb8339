"""Pictures of copies: a test sequence's input, its target, then what each network gave, with a strip below that has its
wrong bits alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from backends.contract import Array
from harness.analysis.copies import CopiedSequence, Output
from harness.report.figures.style import INK, PANEL_WIDTH, QUIET, TEXT, make_figure, plain

# Even to the eye and the same to those who see red and green alike (Nunez, Anderton and Renslow 2018).
COLOUR_MAP = "cividis"
WRONG = "#D55E00"
# Inches: a row of cells with its name above it, a strip of wrong bits, the axis of time, the scale of the colours.
ROW_HEIGHT, STRIP_HEIGHT, AXIS_HEIGHT, SCALE_HEIGHT, TEXT_LINE = 0.72, 0.34, 0.5, 0.9, 0.21
ROW_GAP = 0.03


@dataclass(frozen=True)
class Row:
    """Cells (time, channels), or their colours (time, bits, 4), under a title; the last of a sequence has its axis."""

    title: str
    cells: Array
    is_last: bool = False

    @property
    def height(self) -> float:
        """Inches, with those of a second line of the title."""
        return ROW_HEIGHT + TEXT_LINE * self.title.count("\n") if self.title else STRIP_HEIGHT


def plot_copies(sequences: Sequence[CopiedSequence]) -> Figure:
    """The sequences, at least one, below one another."""
    rows = [row for sequence in sequences for row in _find_rows(sequence)]
    heights = [row.height for row in rows]
    height = sum(heights) + AXIS_HEIGHT * len(sequences) + SCALE_HEIGHT
    figure = make_figure(PANEL_WIDTH, height, ROW_GAP)
    panels = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, row in zip(panels, rows, strict=True):
        _draw_row(axes, row)
    _add_scale(figure, list(panels))
    return figure


def _find_rows(sequence: CopiedSequence) -> list[Row]:
    """From the top: input, target, then each network's output and, below it, where it is wrong."""
    trained = "trained" if sequence.is_trained else "not trained"
    rows = [Row(f"Length {sequence.length} ({trained}): input", sequence.inputs), Row("target", sequence.target)]
    for output in sequence.outputs:
        title = plain(f"{output.label}: {_describe_wrong(output, sequence.n_bits)}")
        rows.append(Row(title, output.probabilities))
        if output.n_wrong:
            rows.append(Row("", _paint_wrong(output.wrong)))
    return [*rows[:-1], replace(rows[-1], is_last=True)]


def _describe_wrong(output: Output, n_bits: int) -> str:
    return f"{output.n_wrong:,} of {n_bits:,} bits wrong" if output.n_wrong else "no bit wrong"


def _paint_wrong(wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The colour of each bit that is wrong, and nothing elsewhere, so that the page shows through."""
    return np.where(wrong[..., None], (*to_rgb(WRONG), 1.0), 0.0)


def _draw_row(axes: Axes, row: Row) -> None:
    axes.imshow(np.swapaxes(row.cells, 0, 1), COLOUR_MAP, vmin=0, vmax=1, aspect="auto", interpolation="none")
    axes.set_title(row.title, loc="left", fontsize=TEXT, color=INK, pad=4)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelsize=TEXT, color=QUIET, labelcolor=QUIET, bottom=row.is_last, labelbottom=row.is_last)
    if row.is_last:
        axes.set_xlabel("time step", fontsize=TEXT, color=QUIET)
    axes.spines[:].set_color(QUIET)
    axes.spines[:].set_linewidth(0.6)


def _add_scale(figure: Figure, panels: list[Axes]) -> None:
    colours = ScalarMappable(Normalize(0, 1), COLOUR_MAP)
    scale = figure.colorbar(colours, ax=panels, location="bottom", aspect=40, pad=0.01)
    scale.set_label("input, or probability of a one", fontsize=TEXT, color=QUIET)
    scale.ax.tick_params(labelsize=TEXT, color=QUIET, labelcolor=QUIET)
    scale.outline.set_edgecolor(QUIET)
