"""What both timing formats are made of: the step times of each implementation, one for each process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.variants import NOT_VERIFIED
from harness.records.structs import Cell


@dataclass(frozen=True)
class Samples:
    """An implementation's name, which is the same in every run, and seconds a step: step_s has the median steady step
    of each process, because the steps inside a process are not independent of each other."""

    name: str
    identity: dict[str, str]
    verified: bool | None
    cells: list[Cell]
    step_s: list[float]


def take_samples(analysis: Analysis) -> Iterator[Samples]:
    """Every implementation that has steady steps, the fastest first; a name tells what failed verification."""
    for variant in analysis.variants:
        timed = [(cell, ms / 1000) for cell in variant.cells if (ms := measures.median_step_ms(cell)) is not None]
        if timed:
            identity = {name: getattr(variant, name) for name in ("backend", "implementation", "precision", "device")}
            name = f"{variant.backend}-{variant.implementation}-{variant.precision}"
            yield Samples(
                name=name + NOT_VERIFIED if variant.verified is False else name,
                identity=identity,
                verified=variant.verified,
                cells=[cell for cell, _ in timed],
                step_s=[step_s for _, step_s in timed],
            )


def warmup_calls(cell: Cell) -> list[tuple[int, float]]:
    """The calls left out of the steady state: (steps, seconds a step)."""
    chunks = cell.chunks
    if chunks is None:
        return []
    calls = zip(chunks.steps, chunks.train_s, chunks.warmup, strict=True)
    return [(steps, train_s / steps) for steps, train_s, is_warmup in calls if is_warmup]
