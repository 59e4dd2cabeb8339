"""Print what the model of harness/scaling_model.py makes of a sweep, beside what the sweep measured.

    python -m harness sweep --implementation tuned --threads 1 --sweep batch=25,50,100 --sweep ranks=1,2 --out SWEEP
    python scripts/model_scaling.py SWEEP --latency-us 20 --gbit 100

The sweep's points of the axis batch give the step's time by its rows; those of ranks are what the model is checked
against, with the exchange that they measured in the place of the network's. Predictions for more devices take the
network from the options.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from harness.presets import load_preset
from harness.scaling import STRONG, WEAK
from harness.scaling_model import (
    BYTES_PER_PARAMETER,
    Compute,
    Network,
    fit_compute,
    strong_efficiency,
    weak_efficiency,
)

DEVICES = (8, 64, 512)


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
