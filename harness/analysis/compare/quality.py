"""What the runs learned, side by side, and what is in one of them only."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.compare.runs import ComparedRun, Key
from harness.records.structs import Cell

MEASURES = ("bit_error", "bits_per_sequence", "original_loss", "train_loss")


@dataclass(frozen=True)
class QualityChange:
    """Medians over the ok processes of one variant in two runs, by measure, None where a run does not tell; seeds are
    those behind them, of seeds_started; learned says whether all of them learned the task."""

    key: Key
    label: str
    before: str
    after: str
    values: dict[str, tuple[float | None, float | None]]
    seeds: tuple[int, int]
    seeds_started: tuple[int, int]
    learned: tuple[bool | None, bool | None]


@dataclass(frozen=True)
class Absence:
    """A variant of the first run that another has no speed of (or the other way round), and why."""

    key: Key
    label: str
    letter: str
    reason: str


def quality_changes(runs: list[ComparedRun]) -> list[QualityChange]:
    """Every variant of the first run against each other run that has it."""
    first, *others = runs
    return [
        QualityChange(
            key=key,
            label=first.labels[key],
            before=first.letter,
            after=other.letter,
            values={name: (_measure(first, key, name), _measure(other, key, name)) for name in MEASURES},
            seeds=(_n_seeds(first.variants[key].cells), _n_seeds(other.variants[key].cells)),
            seeds_started=(_n_seeds(first.variants[key].started), _n_seeds(other.variants[key].started)),
            learned=(_has_learned(first, key), _has_learned(other, key)),
        )
        for other in others
        for key in first.variants
        if key in other.variants
    ]


def find_absences(runs: list[ComparedRun]) -> list[Absence]:
    """Variants that not every run measured, with the reason where the run's records tell."""
    keys = dict.fromkeys(key for run in runs for key in run.variants)
    return [
        Absence(key, run.labels[key], run.letter, reason)
        for key in keys
        for run in runs
        if (reason := _absence(run, key))
    ]


def _absence(run: ComparedRun, key: Key) -> str | None:
    if key in run.variants:
        return None if run.variants[key].speed else "no steady step was timed"
    cells = [cell for cell in run.run.own_cells if _is_of(cell, key)]
    reasons = dict.fromkeys(f"{cell.status}: {cell.reason}" if cell.reason else cell.status for cell in cells)
    return "; ".join(reasons) or "not part of the run"


def _is_of(cell: Cell, key: Key) -> bool:
    return (cell.backend, cell.implementation, cell.precision) == key[:3]


def _measure(run: ComparedRun, key: Key, name: str) -> float | None:
    value: float | None = getattr(run.analysis.row(run.variants[key]), name)
    return value


def _has_learned(run: ComparedRun, key: Key) -> bool | None:
    learnings = run.analysis.learnings
    return next((item.has_learned for item in learnings if item.variant is run.variants[key]), None)


def _n_seeds(cells: list[Cell]) -> int:
    return len({cell.seed for cell in cells})
