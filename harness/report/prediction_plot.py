"""The original's pictures: one sequence, target above, prediction below, side by side for several networks, with the
wrong bits marked."""

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
from harness.report.copies import COLOUR_MAP
from harness.report.style import make_figure, plain

COLUMNS = 3
PANEL_WIDTH, PANEL_HEIGHT, MARGIN = 6.0, 2.0, 1.0
MARK: dict[str, Any] = {"facecolor": "none", "edgecolor": "white", "linewidth": 1.3}


@dataclass(frozen=True)
class Drawn:
    """A network's label, its probabilities (time, bits) and how many bits are wrong."""

    label: str
    probabilities: Array
    wrong_bits: int


def plot_predictions(target: Array, due: NDArray[np.bool_], networks: list[Drawn], *, is_trained: bool) -> Figure:
    """target (time, bits); due (time,), True where the pattern is due; at least one network."""
    n_columns = min(COLUMNS, len(networks))
    n_rows = -(-len(networks) // n_columns)
    figure = make_figure(PANEL_WIDTH * n_columns + MARGIN, 2 * PANEL_HEIGHT * n_rows + MARGIN)
    grid = np.asarray(figure.subplots(2 * n_rows, n_columns, squeeze=False))
    for number, network in enumerate(networks):
        upper, lower = (grid[2 * (number // n_columns) + half, number % n_columns] for half in (0, 1))
        _draw(upper, lower, target, due, network, is_first=number % n_columns == 0)
    _hide_unused(grid, len(networks))
    length, bits = int(due.sum()), target.shape[1]
    training = "trained" if is_trained else "never trained"
    figure.suptitle(f"Length {length} ({training}): {length * bits:,} bits to copy", fontweight="bold")
    scale = ScalarMappable(Normalize(0, 1), COLOUR_MAP)
    figure.colorbar(scale, ax=grid.ravel().tolist(), label="probability of a one", fraction=0.03, pad=0.01)
    return figure


def _draw(upper: Axes, lower: Axes, target: Array, due: NDArray[np.bool_], network: Drawn, *, is_first: bool) -> None:
    for axes, values in ((upper, target), (lower, network.probabilities)):
        axes.imshow(values.T, COLOUR_MAP, vmin=0, vmax=1, aspect="auto", interpolation="none")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    wrong = ((network.probabilities > 0.5) != (target > 0.5)) & due[:, None]
    boxes = [Rectangle((time - 0.5, bit - 0.5), 1, 1) for time, bit in np.argwhere(wrong)]
    lower.add_collection(PatchCollection(boxes, **MARK))
    upper.tick_params(labelbottom=False)
    upper.set_title(plain(f"{network.label}: {_count(network.wrong_bits)}"), fontsize=11)
    lower.set_xlabel("time step")
    if is_first:
        upper.set_ylabel("target\noutput bit")
        lower.set_ylabel("prediction\noutput bit")


def _count(wrong_bits: int) -> str:
    if not wrong_bits:
        return "no bit wrong"
    return f"{wrong_bits:,} bit{'s' * (wrong_bits > 1)} wrong (white boxes)"


def _hide_unused(grid: NDArray[Any], n_networks: int) -> None:
    n_columns = grid.shape[1]
    for number in range(n_networks, grid.shape[0] // 2 * n_columns):
        for half in (0, 1):
            grid[2 * (number // n_columns) + half, number % n_columns].set_axis_off()
