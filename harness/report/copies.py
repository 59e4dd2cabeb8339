"""Pictures of copies: target above, prediction below, one sequence of each length, in the original's colours."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from harness.analysis import measures
from harness.records.structs import Cell, Copy
from harness.report.style import make_figure, plain
from harness.task import metrics
from harness.task.copy_task import CopyTask

COLOUR_MAP = "jet"
WIDTH, PAIR_HEIGHT, MARGIN = 12.0, 3.3, 0.6


def plot_copies(cell: Cell, task: CopyTask) -> Figure | None:
    """A pair of images for each copy of the cell, the shortest first; None where it has none."""
    copies = sorted(cell.evaluation.copies, key=lambda copy: copy.length) if cell.evaluation else []
    if not copies:
        return None
    figure = make_figure(WIDTH, MARGIN + PAIR_HEIGHT * len(copies))
    figure.suptitle(plain(f"Copies by {cell.cell}"), fontweight="bold")
    panels = np.asarray(figure.subplots(2 * len(copies), 1))
    for upper, lower, copy in zip(panels[::2], panels[1::2], copies, strict=True):
        _draw_pair(upper, lower, copy, task)
    image = ScalarMappable(Normalize(0, 1), COLOUR_MAP)
    figure.colorbar(image, ax=list(panels), label="probability of a one", fraction=0.03, pad=0.02)
    return figure


def count_wrong_bits(copy: Copy) -> int:
    """Bits of the copy on the wrong side of 0.5 at the time steps where the pattern is due."""
    due = due_steps(copy)[None]
    return int(metrics.wrong_bits(_array(copy.prediction)[None], _array(copy.target)[None], due)[0])


def due_steps(copy: Copy) -> NDArray[np.bool_]:
    """The time steps at which the pattern is due (time,)."""
    time = np.arange(len(copy.target))
    return np.asarray((time >= copy.length + 2) & (time < 2 * copy.length + 2))


def _draw_pair(upper: Axes, lower: Axes, copy: Copy, task: CopyTask) -> None:
    for axes, values, name in ((upper, copy.target, "target"), (lower, copy.prediction, "prediction")):
        axes.imshow(_array(values).T, COLOUR_MAP, vmin=0, vmax=1, aspect="auto", interpolation="none")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_ylabel(f"{name}\noutput bit")
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("time step")
    upper.set_title(_title(copy, task), fontsize=11, pad=14)


def _title(copy: Copy, task: CopyTask) -> str:
    n_bits = copy.length * len(copy.target[0])
    training = "trained length" if measures.is_trained(copy.length, task) else "not a trained length"
    return f"length {copy.length} ({training}): {count_wrong_bits(copy):,} of {n_bits:,} bits wrong"


def _array(values: list[list[float]]) -> NDArray[np.float64]:
    return np.array(values, np.float64)
