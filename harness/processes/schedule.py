"""How much of a run is left: cells done, and the time that the others should take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.records.identity import PlannedCell


def say_duration(seconds: float) -> str:
    """To two units at most: 40 s, 3 min, 1 h 20 min, 2 days 5 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    days, hours = divmod(hours, 24)
    return f"{days} day{'s' * (days > 1)}" + (f" {hours} h" if hours else "")


@dataclass(frozen=True)
class ScheduleState:
    """Cells done, cells, and both in words with the time left."""

    n_done: int
    n_cells: int
    words: str


@dataclass
class Schedule:
    """What is left of a run's cells: like takes as long as like did, what was not seen yet as the others on average."""

    cells: Sequence[PlannedCell]
    n_done: int = 0
    n_at_once: int = 1
    durations_s: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def finish(self, cell: PlannedCell, duration_s: float | None) -> None:
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
    def state(self) -> ScheduleState:
        n_cells = len(self.cells)
        words = f"{self.n_done} of {n_cells} cell{'s' * (n_cells > 1)}" if self.left_s() is None else str(self)
        return ScheduleState(self.n_done, n_cells, words)

    def __str__(self) -> str:
        left_s = self.left_s()
        place = f"{self.n_done} of {len(self.cells)}"
        if self.n_done == len(self.cells) or left_s is None:
            return place
        return f"{place}, about {say_duration(left_s)} left"


def _kind(cell: PlannedCell) -> tuple[str, str]:
    return cell.backend.name, cell.implementation
