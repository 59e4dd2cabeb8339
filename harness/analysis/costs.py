"""What training and using a network costs beside the time of a step: memory, CPU time, and how fast inference is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from harness.analysis import measures
from harness.analysis.stats import Interval, median_interval
from harness.records.structs import Cell

# By the name of the column; in the order in which they are shown.
Cost = Literal[
    "peak_memory_bytes", "process_memory_bytes", "cpu_ms", "inference_sequences_per_s", "latency_ms", "latency_p95_ms"
]
Costs = dict[Cost, Interval]
MEASURES: dict[Cost, Callable[[Cell], float | None]] = {
    "peak_memory_bytes": lambda cell: cell.peak_memory_bytes,
    "process_memory_bytes": lambda cell: cell.process_memory_bytes,
    "cpu_ms": measures.median_cpu_ms,
    "inference_sequences_per_s": measures.inference_sequences_per_s,
    "latency_ms": lambda cell: measures.latency_ms(cell, 50),
    "latency_p95_ms": lambda cell: measures.latency_ms(cell, 95),
}


def cost_samples(cells: list[Cell], timed: list[Cell]) -> dict[Cost, list[float]]:
    """Of one variant, the value of each cell whose record tells it, but CPU time of those alone that its speed is of:
    the two belong together. What no record tells is left out."""
    samples = {name: _known(name, timed if name == "cpu_ms" else cells) for name in MEASURES}
    return {name: values for name, values in samples.items() if values}


def measure_costs(samples: dict[Cost, list[float]]) -> Costs:
    """Medians with their intervals: the process is the sample."""
    return {name: median_interval(values) for name, values in samples.items()}


def _known(name: Cost, cells: list[Cell]) -> list[float]:
    return [value for cell in cells if (value := MEASURES[name](cell)) is not None]
