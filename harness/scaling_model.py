"""A model of how training on many devices scales, from parts that were measured: no measurement itself.

A step of N ranks computes on its rows and exchanges the gradients of all parameters:

    step(N) = compute(rows) + exchange(N)          compute(rows) = fixed + per_row * rows, fitted to measured steps
    exchange(N) = 2 (N - 1) latency + 2 (N - 1) / N * bytes / bandwidth

The exchange is that of a ring, in which every rank sends 2 (N - 1) messages of 1/N of the bytes (Patarasuk and Yuan
2009, Bandwidth optimal all-reduce algorithms for clusters of workstations). Nothing is hidden behind computing, so a
framework that overlaps the two may do better, and what the model leaves out, stragglers and congestion, may do worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class Network:
    """What lies between the ranks: the seconds that a message takes at least, and bytes a second."""

    latency_s: float
    bandwidth: float

    def exchange_s(self, ranks: int, n_bytes: float) -> float:
        """Seconds of a ring's all-reduce of so many bytes."""
        sent = n_bytes * (ranks - 1) / ranks
        return 2 * (ranks - 1) * self.latency_s + 2 * sent / self.bandwidth


@dataclass(frozen=True)
class Compute:
    """Seconds of a step on one device: fixed, and for each row of the batch."""

    fixed_s: float
    per_row_s: float

    def step_s(self, rows: float) -> float:
        return self.fixed_s + self.per_row_s * rows


def fit_compute(steps_s: Mapping[int, float]) -> Compute:
    """Fitted to measured steps by rows, each weighed by its own size so that small ones count as much as large ones.

    ValueError for fewer than two sizes. A fixed part below 0, which noise can make, is 0.
    """
    if len(steps_s) < 2:
        raise ValueError("a step's time has to be measured at two sizes of the batch at least")
    rows, seconds = np.array(list(steps_s), np.float64), np.array(list(steps_s.values()), np.float64)
    per_row, fixed = np.polyfit(rows, seconds, 1, w=1 / seconds)
    if fixed < 0:
        fixed, per_row = 0.0, float(np.mean(seconds / rows))
    return Compute(float(fixed), float(per_row))


def strong_efficiency(compute: Compute, network: Network, batch: int, ranks: int, n_bytes: float) -> float:
    """Of ranks that share a batch: the time of one device over so many times that of the ranks."""
    step_s = compute.step_s(batch / ranks) + network.exchange_s(ranks, n_bytes)
    return compute.step_s(batch) / (ranks * step_s)


def weak_efficiency(compute: Compute, network: Network, rows: int, ranks: int, n_bytes: float) -> float:
    """Of ranks that have so many rows each: the time of one device over that of the ranks."""
    step_s = compute.step_s(rows)
    return step_s / (step_s + network.exchange_s(ranks, n_bytes))
