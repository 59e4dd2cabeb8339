"""The processors as devices of JAX's, each one of its own, and over how many of them a batch is split."""

from __future__ import annotations

import contextlib
import os

import jax

# JAX takes the number only before it first looks for devices.
if hasattr(os, "sched_getaffinity"):
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))

# Fewer rows than this a processor make products too small to be worth a split.
MINIMUM_ROWS = 32


def count_processors(device: jax.Device) -> int:
    """How many devices may share what this one is given; a GPU takes it whole."""
    return len(jax.local_devices(backend="cpu")) if device.platform == "cpu" else 1


def count_shares(rows: int, device: jax.Device) -> int:
    """How many processors share the rows evenly with enough for each."""
    shares = range(1, count_processors(device) + 1)
    return max((n for n in shares if rows % n == 0 and rows // n >= MINIMUM_ROWS), default=1)
