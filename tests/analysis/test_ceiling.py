from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.analysis import analyse
from harness.analysis.ceiling import ceiling_rows, find_ceilings, gflop_per_s, product_rates, product_rows
from harness.records.reading import read_run
from harness.records.structs import Product

OPERATIONS = 2 * 16 * 128 * 512
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def products(run_folder: Callable[..., Path], product: Make) -> list[Product]:
    """torch: 100, 80 and 300 GFLOP/s; jax: 110 and 120; jax in bfloat16: 500."""
    rates = [("torch", 100), ("torch", 80), ("torch", 300), ("jax", 110), ("jax", 120)]
    samples = [product(OPERATIONS / (rate * 1e9), backend=backend) for backend, rate in rates]
    half = product(OPERATIONS / 500e9, backend="jax", precision="bfloat16", after="jax-tuned-bfloat16-seed0-r0")
    return read_run(run_folder(products=[*samples, half])).products


def test_a_rate_counts_a_multiplication_and_an_addition(products: list[Product]) -> None:
    assert gflop_per_s(products[0]) == pytest.approx(100)


def test_the_ceiling_is_the_best_median_not_the_best_sample(products: list[Product]) -> None:
    ceilings = find_ceilings(product_rates(products))
    assert {place: rate.gflop_per_s for place, rate in ceilings.items()} == pytest.approx(
        {("float32", "cpu"): 115, ("bfloat16", "cpu"): 500}
    )
    assert ceilings["float32", "cpu"].backend == "jax"


def test_ways_of_one_framework_are_not_mixed(run_folder: Callable[..., Path], product: Make) -> None:
    by_mkl, by_onednn = product(2e-4, way="torch.mm"), product(1e-4, way="oneDNN linear")
    run = read_run(run_folder(products=[by_mkl, by_mkl, by_onednn]))
    best = analyse(run).ceilings["float32", "cpu"]
    assert (best.way, best.gflop_per_s) == ("oneDNN linear", pytest.approx(OPERATIONS / 1e5))
    assert best.multiplier == "torch (oneDNN linear)"


def test_shapes_are_not_mixed(run_folder: Callable[..., Path], product: Make) -> None:
    large = product(1e-3, m=672)
    small = product(1e-4)
    best = analyse(read_run(run_folder(products=[large, small]))).ceilings["float32", "cpu"]
    assert best.m == 672


def test_every_sample_is_kept_beside_its_ceiling(products: list[Product]) -> None:
    rows = ceiling_rows(products, find_ceilings(product_rates(products)))
    assert [row.ceiling_gflop_per_s for row in rows] == pytest.approx([115] * 5 + [500])
    assert [row.after for row in rows] == [None] * 5 + ["jax-tuned-bfloat16-seed0-r0"]


def test_a_reader_sees_one_row_a_product_with_its_drift(products: list[Product]) -> None:
    rates = product_rates(products)
    rows = product_rows(rates, find_ceilings(rates))
    shown = [(row.precision, row.backend, row.samples, row.is_ceiling) for row in rows]
    assert shown == [("bfloat16", "jax", 1, True), ("float32", "jax", 2, True), ("float32", "torch", 3, False)]
    assert (rows[2].low, rows[2].high) == pytest.approx((80, 300))


def test_no_samples_are_no_ceiling() -> None:
    assert find_ceilings([]) == {}
    assert ceiling_rows([], {}) == product_rows([], {}) == []
