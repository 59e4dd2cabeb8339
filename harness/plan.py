"""A configuration becomes cells: one training of one implementation with one seed, in one process."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from backends import Backend


@dataclass(frozen=True)
class Cell:
    backend: Backend
    implementation: str
    precision: str
    seed: int
    repeat: int

    @property
    def name(self) -> str:
        return f"{self.backend.name}-{self.implementation}-{self.precision}-seed{self.seed}-r{self.repeat}"

    def identity(self) -> dict[str, str | int]:
        """The columns that say which cell a row belongs to."""
        return {
            "backend": self.backend.name,
            "implementation": self.implementation,
            "precision": self.precision,
            "seed": self.seed,
            "repeat": self.repeat,
        }


def plan_cells(
    backends: list[Backend], implementations: list[str], precision: str, seeds: list[int], repeats: int
) -> list[Cell]:
    """Cells in running order: all backends of one repeat and seed in turn, so that drift falls on all alike."""
    return [
        Cell(backend, implementation, precision, seed, repeat)
        for repeat, seed, backend in itertools.product(range(repeats), seeds, backends)
        for implementation in implementations
        if implementation in backend.implementations
    ]
