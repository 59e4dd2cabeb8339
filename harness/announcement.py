"""What a run is going to do and how long it should take: said before it begins, and again after every cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from harness.ceiling import time_calls
from harness.config import RunConfig
from harness.metrics import training_step_operations
from harness.plan import Cell
from harness.progress import say_duration
from harness.report.quantities import count, count_between
from harness.selection import Selection

# Before a cell has been timed. The best implementations come near the rate of a plain product, the slowest reach about
# a quarter of it, and up to twice the figure is left for evaluation; a process starts and compiles in 3 to 15 seconds.
LEAST_SHARE, EVALUATION_FACTOR = 0.25, 2.0
STARTUP_S = (3.0, 15.0)


def describe_plan(selection: Selection, cells: Sequence[Cell]) -> Iterator[str]:
    """Lines: what is trained, with which recipe, on what."""
    config, resources = selection.config, selection.resources
    variants = dict.fromkeys(f"{cell.backend.name} {cell.implementation}" for cell in cells)
    repeats = len({cell.repeat for cell in cells if cell.backend.name == cells[-1].backend.name})
    seeds = sorted({cell.seed for cell in cells})
    n_cells = f"{len(cells)} cells in turn, each" if len(cells) > 1 else "one cell,"
    ranks = selection.ranks
    process = "a fresh process" if ranks == 1 else f"{ranks} fresh processes that train it together"
    yield (
        f"Trains {', '.join(variants)} in {', '.join(selection.precisions)}, seed{'s' * (len(seeds) > 1)}"
        f" {', '.join(map(str, seeds))}: {n_cells} in {process}{', repeats interleaved' * (repeats > 1)}."
    )
    patterns = count_between(config.task.min_length, config.task.max_length, "vector")
    steps, batch = count(config.train.steps, "step"), count(config.train.batch, "sequence")
    yield (
        f"Preset {selection.preset}: patterns of {patterns}, {config.model.layers} x {config.model.hidden} units,"
        f" {steps} of {batch}."
    )
    device = {"auto": "a GPU where the framework sees one, else the CPU"}.get(resources.device, resources.device)
    yield f"Device: {device}; {resources.threads} CPU thread{'s' * (resources.threads > 1)}{' a rank' * (ranks > 1)}."
    if selection.launch:
        yield f"The ranks are tasks that {selection.launch.launcher} started; this one is the first."
    missing = dict.fromkeys(cell.backend.name for cell in cells if cell.backend.missing_packages())
    if missing:
        yield f"Not installed, so only a row with the reason: {', '.join(missing)}."


def describe_estimate(selection: Selection, cells: Sequence[Cell], *, has_gpu: bool) -> str:
    """How long it should take, or that only the first cell can tell."""
    n_cells = sum(not cell.backend.missing_packages() for cell in cells)
    if selection.resources.device.startswith("cuda") or (has_gpu and selection.resources.device == "auto"):
        return "How long it takes will be said after the first cell; nothing here can foretell a GPU."
    least_s, most_s = estimate_cell_s(selection.config, selection.resources.threads)
    bounds = f"{say_duration(n_cells * least_s)} to {say_duration(n_cells * most_s)}"
    return (
        f"Should take {bounds}: roughly, from the operations of a step and the speed of a matrix product just now."
        " The first cells will tell better."
    )


def estimate_cell_s(config: RunConfig, threads: int) -> tuple[float, float]:
    """The least and the most seconds that a cell should take on this processor."""
    n_parameters = sum(math.prod(shape) for shape in config.model_spec().shapes().values())
    time_steps = config.task.time_steps(config.task.max_length)
    operations = training_step_operations(n_parameters, config.train.batch, time_steps) * config.train.steps
    best_s = operations / product_rate(config.train.batch, config.model.hidden, threads)
    return STARTUP_S[0] + best_s, STARTUP_S[1] + EVALUATION_FACTOR * best_s / LEAST_SHARE


def product_rate(batch: int, hidden: int, threads: int) -> float:
    """Operations a second of NumPy's (batch x hidden)(hidden x 4 hidden) in float32, the product of one time step."""
    generator = np.random.default_rng(0)
    left, right = generator.random((batch, hidden), np.float32), generator.random((hidden, 4 * hidden), np.float32)
    with threadpool_limits(threads):
        durations_s = time_calls(lambda: left @ right)
    return float(2 * batch * hidden * 4 * hidden / np.median(durations_s))


@dataclass
class Schedule:
    """What is left of a run's cells: like takes as long as like did, what was not seen yet as the others on average."""

    cells: Sequence[Cell]
    n_done: int = 0
    n_at_once: int = 1
    durations_s: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def finish(self, cell: Cell, duration_s: float | None) -> None:
        """One cell less to do, in the order of the plan; None for one that took no training."""
        self.n_done += 1
        if duration_s is not None:
            self.durations_s.setdefault(_kind(cell), []).append(duration_s)

    def left_s(self) -> float | None:
        """None where no cell has been timed yet."""
        known = {kind: float(np.mean(seen)) for kind, seen in self.durations_s.items()}
        if not known:
            return None
        other = float(np.mean(list(known.values())))
        waiting = [cell for cell in self.cells[self.n_done :] if not cell.backend.missing_packages()]
        return sum(known.get(_kind(cell), other) for cell in waiting) / min(self.n_at_once, len(waiting) or 1)

    @property
    def place(self) -> tuple[int, int, str]:
        """Cells done, cells, and both in words with the time left."""
        in_words = f"{self.n_done} of {count(len(self.cells), 'cell')}" if self.left_s() is None else str(self)
        return self.n_done, len(self.cells), in_words

    def __str__(self) -> str:
        left_s = self.left_s()
        place = f"{self.n_done} of {len(self.cells)}"
        if self.n_done == len(self.cells) or left_s is None:
            return place
        return f"{place}, about {say_duration(left_s)} left"


def _kind(cell: Cell) -> tuple[str, str]:
    return cell.backend.name, cell.implementation
