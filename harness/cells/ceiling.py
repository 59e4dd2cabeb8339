"""The machine's ceiling: how fast a framework multiplies matrices of the shapes that a training step is made of."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np

from backends import Backend
from backends.contract import ProductModule, Unsupported
from harness.records.structs import Product
from harness.task.recipe import RunConfig, product_shapes

WARMUP_CALLS = 3
N_CALLS = 50
# Enough for a median of the larger products; three frameworks take some ten seconds, their imports included.
TIME_LIMIT_S = 0.15


def time_products(backend: Backend, config: RunConfig, *, device: str, precisions: Sequence[str]) -> Iterator[Product]:
    """The median seconds of each product, by each of the backend's ways to multiply, in each of the precisions that it
    has. Raises Unsupported for a device that is not there."""
    module = cast(ProductModule, importlib.import_module(str(backend.product)))
    place = module.name_device(device)
    for precision in precisions:
        for m, k, n in product_shapes(config):
            generator = np.random.default_rng(0)
            left, right = (generator.random(shape, np.float32) for shape in ((m, k), (k, n)))
            try:
                products = module.build_products(left, right, device=device, precision=precision)
            except Unsupported:
                # No cell of the backend trains in it either, and each says why.
                break
            for way, product in products.items():
                durations_s = time_calls(product)
                yield Product(
                    backend=backend.name,
                    way=way,
                    precision=precision,
                    device=place,
                    m=m,
                    k=k,
                    n=n,
                    seconds=float(np.median(durations_s)),
                    calls=len(durations_s),
                )


def time_calls(call: Callable[[], object]) -> list[float]:
    """Seconds of each of up to N_CALLS calls, after up to WARMUP_CALLS that do not count; TIME_LIMIT_S ends either on a
    slow machine."""
    _repeat(call, WARMUP_CALLS)
    return _repeat(call, N_CALLS)


def _repeat(call: Callable[[], object], n_calls: int) -> list[float]:
    durations_s: list[float] = []
    while len(durations_s) < n_calls and sum(durations_s) < TIME_LIMIT_S:
        begun_s = time.perf_counter()
        call()
        durations_s.append(time.perf_counter() - begun_s)
    return durations_s
