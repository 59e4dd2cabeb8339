"""Pictures of copies: one sequence, the target above and a prediction below, with the wrong bits marked, in the
original's colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from backends.contract import Array
from harness.analysis import measures
from harness.records.structs import Cell, Copy, TaskSection
from harness.report.figures.style import PANEL_WIDTH, TEXT, finish_axes, make_figure, plain
from harness.task import metrics

COLOUR_MAP = "jet"
PAIR_HEIGHT, MARGIN = 2.9, 1.0
COLUMNS = 3
# Not the white of the page, which turns dark.
MARK: dict[str, Any] = {"facecolor": "none", "edgecolor": "#fdfdfd", "linewidth": 1.3}


@dataclass(frozen=True)
class Drawn:
    """A network's label, its probabilities (time, bits) and how many bits are wrong."""

    label: str
    probabilities: Array
    wrong_bits: int


def plot_copies(cell: Cell, task: TaskSection) -> Figure | None:
    """A pair of images for each copy of the cell, the shortest first; None where it has none."""
    copies = sorted(cell.evaluation.copies, key=lambda copy: copy.length) if cell.evaluation else []
    if not copies:
        return None
    figure, pairs = _make_pairs(len(copies), 1, f"Copies by\n{cell.cell}")
    for (upper, lower), copy in zip(pairs, copies, strict=True):
        _draw_pair(upper, lower, _array(copy.target), _array(copy.prediction), due_steps(copy))
        _label_pair(upper, lower, _title(copy, task))
    return figure


def plot_predictions(target: Array, due: NDArray[np.bool_], networks: list[Drawn], *, is_trained: bool) -> Figure:
    """target (time, bits); due (time,), True where the pattern is due; at least one network."""
    length, bits = int(due.sum()), target.shape[1]
    training = "trained" if is_trained else "never trained"
    heading = f"Length {length} ({training}): {length * bits:,} bits to copy"
    figure, pairs = _make_pairs(len(networks), min(COLUMNS, len(networks)), heading)
    for (upper, lower), network in zip(pairs, networks, strict=True):
        _draw_pair(upper, lower, target, network.probabilities, due)
        _label_pair(upper, lower, f"{plain(network.label)}:\n{_count(network.wrong_bits)}")
    return figure


def count_wrong_bits(copy: Copy) -> int:
    """Bits of the copy on the wrong side of 0.5 at the time steps where the pattern is due."""
    due = due_steps(copy)[None]
    return int(metrics.wrong_bits(_array(copy.prediction)[None], _array(copy.target)[None], due)[0])


def due_steps(copy: Copy) -> NDArray[np.bool_]:
    """The time steps at which the pattern is due (time,)."""
    time = np.arange(len(copy.target))
    return np.asarray((time >= copy.length + 2) & (time < 2 * copy.length + 2))


def _make_pairs(n: int, n_columns: int, heading: str) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """A figure with n pairs of axes, row by row, and the scale of the colours below."""
    n_rows = -(-n // n_columns)
    figure = make_figure(PANEL_WIDTH * n_columns, MARGIN + PAIR_HEIGHT * n_rows)
    figure.suptitle("\n".join(map(plain, heading.splitlines())), fontsize=TEXT, fontweight="bold")
    grid = figure.subplots(2 * n_rows, n_columns, squeeze=False)
    pairs = [(grid[2 * row, column], grid[2 * row + 1, column]) for row in range(n_rows) for column in range(n_columns)]
    for unused in pairs[n:]:
        for axes in unused:
            axes.remove()
    shown = [axes for pair in pairs[:n] for axes in pair]
    scale = figure.colorbar(
        ScalarMappable(Normalize(0, 1), COLOUR_MAP), ax=shown, location="bottom", aspect=40, pad=0.01
    )
    scale.set_label("probability of a one", fontsize=TEXT)
    scale.ax.tick_params(labelsize=TEXT)
    return figure, pairs[:n]


def _draw_pair(upper: Axes, lower: Axes, target: Array, prediction: Array, due: NDArray[np.bool_]) -> None:
    for axes, values in ((upper, target), (lower, prediction)):
        axes.imshow(values.T, COLOUR_MAP, vmin=0, vmax=1, aspect="auto", interpolation="none")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    wrong = ((prediction > 0.5) != (target > 0.5)) & due[:, None]
    boxes = [Rectangle((time - 0.5, bit - 0.5), 1, 1) for time, bit in np.argwhere(wrong)]
    lower.add_collection(PatchCollection(boxes, **MARK))


def _label_pair(upper: Axes, lower: Axes, title: str) -> None:
    finish_axes(upper, title, "", "target\nbit")
    finish_axes(lower, "", "time step", "copy\nbit")
    upper.tick_params(labelbottom=False)
    for axes in (upper, lower):
        axes.grid(visible=False)


def _title(copy: Copy, task: TaskSection) -> str:
    n_bits = copy.length * len(copy.target[0])
    training = "trained length" if measures.is_trained(copy.length, task) else "not a trained length"
    return f"length {copy.length} ({training}):\n{count_wrong_bits(copy):,} of {n_bits:,} bits wrong"


def _count(wrong_bits: int) -> str:
    if not wrong_bits:
        return "no bit wrong"
    return f"{wrong_bits:,} bit{'s' * (wrong_bits > 1)} wrong (white boxes)"


def _array(values: list[list[float]]) -> NDArray[np.float64]:
    return np.array(values, np.float64)
