"""The steady steps of every process, as a table has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis import measures
from harness.records.structs import Cell, Run


@dataclass(frozen=True)
class Throughput:
    """The speed of one cell's `steps` steady steps: median, 5th and 95th percentile in milliseconds; overhead_share is
    the share of their time that the harness took, 0..1."""

    cell: Cell
    sequences_per_s: float | None
    step_ms_median: float
    step_ms_p5: float
    step_ms_p95: float
    steps: int
    overhead_share: float | None


def measure_throughputs(run: Run) -> list[Throughput]:
    """One for each ok cell that has a steady step."""
    return [_measure(run, cell) for cell in run.ok_cells if measures.step_ms(cell).size]


def _measure(run: Run, cell: Cell) -> Throughput:
    samples = measures.step_ms(cell)
    p5, p50, p95 = (float(value) for value in np.percentile(samples, [5, 50, 95]))
    return Throughput(
        cell=cell,
        sequences_per_s=measures.sequences_per_s(cell, run.batch),
        step_ms_median=p50,
        step_ms_p5=p5,
        step_ms_p95=p95,
        steps=samples.size,
        overhead_share=measures.overhead_share(cell),
    )
