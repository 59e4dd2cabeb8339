"""Print what a model of training on many devices makes of a sweep, beside what the sweep measured.

    python -m harness sweep --implementation tuned --threads 1 --sweep batch=25,50,100 --sweep ranks=1,2 --out SWEEP
    python scripts/model_scaling.py SWEEP --latency-us 20 --gbit 100

The sweep's points of the axis batch give the step's time by its rows; those of ranks are what the model is checked
against, with the exchange that they measured in the place of the network's. Predictions for more devices take the
network from the options.

The model is no measurement: it adds up parts that were measured. A step of N ranks computes on its rows and exchanges
the gradients of all parameters:

    step(N) = compute(rows) + exchange(N)          compute(rows) = fixed + per_row * rows, fitted to measured steps
    exchange(N) = 2 (N - 1) latency + 2 (N - 1) / N * bytes / bandwidth

The exchange is that of a ring, in which every rank sends 2 (N - 1) messages of 1/N of the bytes (Patarasuk and Yuan
2009, Bandwidth optimal all-reduce algorithms for clusters of workstations). Nothing is hidden behind computing, so a
framework that overlaps the two may do better, and what the model leaves out, stragglers and congestion, may do worse.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.analysis.scaling import STRONG, WEAK
from harness.task.presets import load_preset

BYTES_PER_PARAMETER = 4
DEVICES = (8, 64, 512)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--preset", default="throughput", help="the preset of the sweep")
    parser.add_argument("--latency-us", type=float, default=20.0)
    parser.add_argument("--gbit", type=float, default=100.0, help="gigabits a second between any two ranks")
    options = parser.parse_args()
    rows = pd.read_csv(options.sweep / "sweep.csv")
    config = load_preset(options.preset, [])
    n_bytes = BYTES_PER_PARAMETER * config.model_spec().n_parameters()
    network = Network(options.latency_us * 1e-6, options.gbit * 1e9 / 8)
    print(f"{n_bytes / 1e6:.1f} MB exchanged a step; {options.latency_us:g} us, {options.gbit:g} Gbit/s\n")
    for (backend, implementation), measured in rows.groupby(["backend", "implementation"], sort=False):
        compute = fit_compute(steps_by_rows(measured))
        print(f"### {backend} {implementation}\n")
        print(f"A step takes {1000 * compute.fixed_s:.1f} ms and {1000 * compute.per_row_s:.3f} ms a row.\n")
        print_check(measured, compute, config.train.batch)
        print_predictions(compute, network, config.train.batch, n_bytes)


def steps_by_rows(measured: pd.DataFrame) -> dict[int, float]:
    """Seconds of a step by the rows of its batch."""
    points = measured[measured["axis"] == "batch"]
    return {int(value): ms / 1000 for value, ms in zip(points["value"], points["step_ms"], strict=True)}


def print_check(measured: pd.DataFrame, compute: Compute, batch: int) -> None:
    """Each point of several ranks: its step by the model, with the exchange measured there, and as measured."""
    print("| scaling | ranks | model, ms | measured, ms | model / measured |\n|---|---:|---:|---:|---:|")
    for point in measured[measured["axis"].isin([STRONG, WEAK]) & (measured["value"] > 1)].itertuples():
        rows = batch / point.value if point.axis == STRONG else batch
        model_ms = 1000 * compute.step_s(rows) + point.exchange_share * point.step_ms
        kind = "strong" if point.axis == STRONG else "weak"
        ratio = model_ms / point.step_ms
        print(f"| {kind} | {point.value} | {model_ms:.1f} | {point.step_ms:.1f} | {ratio:.2f} |")
    print()


def print_predictions(compute: Compute, network: Network, batch: int, n_bytes: int) -> None:
    print(f"| devices | weak, {batch} rows each | strong, {batch} rows in all | strong, {64 * batch:,} rows in all |")
    print("|---:|---:|---:|---:|")
    for n in DEVICES:
        weak = weak_efficiency(compute, network, batch, n, n_bytes)
        few = (
            f"{strong_efficiency(compute, network, batch, n, n_bytes):.1%}" if n <= batch else "fewer rows than devices"
        )
        many = strong_efficiency(compute, network, 64 * batch, n, n_bytes)
        print(f"| {n} | {weak:.1%} | {few} | {many:.1%} |")
    print()


if __name__ == "__main__":
    main()
