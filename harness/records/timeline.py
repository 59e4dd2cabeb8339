"""The stages of training in a record's timeline, from its chunks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backends.contract import Array
from harness.records.structs import Chunks

# A framework may compile, tune or allocate in the first calls of a shape; these are never counted as steady.
WARMUP_CALLS = 2


def training_stages(chunks: Chunks, paused_s: Mapping[str, float]) -> dict[str, float]:
    """Seconds of the stages of training, from its calls and what was spent between them.

    first_step_s is the first call less its other steps at the steady pace: what compilation costs. Where no call is
    steady the two cannot be told apart, and it is the whole first call. recompile_s is what the first calls of
    further shapes, and of every shape after a resume, took beyond the steady pace of theirs.
    """
    steps, train_s, first = np.array(chunks.steps), np.array(chunks.train_s), np.array(chunks.first)
    first_step_s, parts = float(train_s[0]), {}
    paces_s = _paces_s(chunks)
    if paces_s is not None:
        first_step_s = max(float(first_step_s - (steps[0] - 1) * paces_s[0]), float(paces_s[0]))
        excess_s = np.maximum(0, train_s - steps * paces_s)
        if first.sum() > 1:
            parts["recompile_s"] = float(excess_s[first][1:].sum())
    parts |= {f"{what}_s": seconds for what, seconds in paused_s.items()}
    steady_s = float(train_s.sum()) - first_step_s - parts.get("recompile_s", 0.0)
    data_s = float(np.sum(chunks.data_s))
    return {"first_step_s": first_step_s, "steady_s": steady_s, "data_s": data_s, **parts}


def _paces_s(chunks: Chunks) -> Array | None:
    """Seconds of a steady step of each chunk's shape (chunks,): the median over its steady calls or, where it has
    none, that of all shapes for as many time steps. None where no call is steady."""
    steps, time_steps, steady = np.array(chunks.steps), np.array(chunks.time_steps), ~np.array(chunks.warmup)
    if not steady.any():
        return None
    step_s = np.array(chunks.train_s) / steps
    time_step_s = np.median((step_s / time_steps)[steady])

    def pace_s(n_steps: int, n_time_steps: int) -> float:
        same = steady & (steps == n_steps) & (time_steps == n_time_steps)
        return float(np.median(step_s[same]) if same.any() else time_step_s * n_time_steps)

    shapes = list(zip(chunks.steps, chunks.time_steps, strict=True))
    paces_s = {shape: pace_s(*shape) for shape in set(shapes)}
    return np.array([paces_s[shape] for shape in shapes])
