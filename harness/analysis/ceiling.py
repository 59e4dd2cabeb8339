"""The ceiling: the machine's best rate for the matrix products that a model is made of, from samples of every
framework's ways to multiply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from msgspec.structs import asdict

from harness.analysis.rows import CeilingRow, ProductRow
from harness.records.structs import Product


@dataclass(frozen=True)
class ProductRate:
    """What the samples of one (m x k)(k x n) product, by one way of a backend's, come to; rates in 1e9 operations a
    second."""

    precision: str
    device: str
    backend: str
    way: str
    m: int
    k: int
    n: int
    samples: list[float]

    @property
    def gflop_per_s(self) -> float:
        return float(np.median(self.samples))

    @property
    def shape(self) -> str:
        return f"({self.m:,} x {self.k:,})({self.k:,} x {self.n:,})"

    @property
    def multiplier(self) -> str:
        return f"{self.backend} ({self.way})" if self.way else self.backend


# By precision and device.
Ceilings = dict[tuple[str, str], ProductRate]


def gflop_per_s(product: Product) -> float:
    """The rate of one sample: each of the m x n results takes k multiply-adds."""
    return 2 * product.m * product.k * product.n / product.seconds / 1e9


def product_rates(products: Iterable[Product]) -> list[ProductRate]:
    """One for each precision, device, backend, way and shape; the fastest first within precision and device."""
    grouped: dict[tuple[str, str, str, str, int, int, int], list[float]] = {}
    for item in products:
        key = (item.precision, item.device, item.backend, item.way, item.m, item.k, item.n)
        grouped.setdefault(key, []).append(gflop_per_s(item))
    rates = [ProductRate(*key, samples) for key, samples in sorted(grouped.items())]
    return sorted(rates, key=lambda rate: (rate.precision, rate.device, -rate.gflop_per_s))


def find_ceilings(rates: Iterable[ProductRate]) -> Ceilings:
    """By precision and device: the product of the best median rate, over backends, their ways and shapes; rates as
    product_rates has them."""
    ceilings: Ceilings = {}
    for rate in rates:
        ceilings.setdefault((rate.precision, rate.device), rate)
    return ceilings


def ceiling_rows(products: list[Product], ceilings: Ceilings) -> list[CeilingRow]:
    """Every sample with its rate, and beside it the ceiling of its precision and device."""
    return [
        CeilingRow(
            **asdict(item),
            gflop_per_s=gflop_per_s(item),
            ceiling_gflop_per_s=ceilings[item.precision, item.device].gflop_per_s,
        )
        for item in products
    ]


def product_rows(rates: list[ProductRate], ceilings: Ceilings) -> list[ProductRow]:
    """For a reader: one row for each product, with the range that its rate drifted over."""
    return [
        ProductRow(
            precision=rate.precision,
            device=rate.device,
            backend=rate.backend,
            way=rate.way,
            product=rate.shape,
            gflop_per_s=rate.gflop_per_s,
            low=min(rate.samples),
            high=max(rate.samples),
            samples=len(rate.samples),
            is_ceiling=rate in ceilings.values(),
        )
        for rate in rates
    ]
