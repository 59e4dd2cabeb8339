"""The machine's ceiling: the rate of the matrix products that the model is made of, by a framework's own product."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from backends import Backend
from harness.config import RunConfig

WARMUP_CALLS = 5
N_CALLS = 50
# Enough for a median; a slow machine stops here rather than at N_CALLS.
TIME_LIMIT_S = 1.0


def measure_ceiling(backend: Backend, config: RunConfig, *, device: str, precision: str) -> list[dict[str, Any]]:
    """The median seconds of each product of the model's shapes; empty where the backend offers no product."""
    if backend.product is None:
        return []
    build_product = importlib.import_module(backend.product).build_product
    samples = []
    for m, k, n in product_shapes(config):
        generator = np.random.default_rng(0)
        left, right = (generator.random(shape, np.float32) for shape in ((m, k), (k, n)))
        durations_s = time_calls(build_product(left, right, device=device, precision=precision))
        seconds = float(np.median(durations_s))
        samples.append({"m": m, "k": k, "n": n, "seconds": seconds, "calls": len(durations_s)})
    return samples


def product_shapes(config: RunConfig) -> list[tuple[int, int, int]]:
    """(m, k, n) of the product of one time step and of that of all time steps at once."""
    hidden, batch = config.model.hidden, config.train.batch
    time_steps = config.task.time_steps(config.task.max_length)
    return [(batch, hidden, 4 * hidden), (batch * time_steps, hidden, 4 * hidden)]


def time_calls(call: Callable[[], object]) -> list[float]:
    """Seconds of each of up to N_CALLS calls, after the warm-up."""
    for _ in range(WARMUP_CALLS):
        call()
    durations_s: list[float] = []
    while len(durations_s) < N_CALLS and sum(durations_s) < TIME_LIMIT_S:
        begun_s = time.perf_counter()
        call()
        durations_s.append(time.perf_counter() - begun_s)
    return durations_s
