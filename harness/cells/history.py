"""What training leaves behind while it goes on: losses, times and evaluations."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.records.timeline import WARMUP_CALLS, training_stages

CHUNK_COLUMNS = ("steps", "time_steps", "train_s", "data_s", "pause_s", "elapsed_s", "warmup", "first")


class History:
    """Every loss and evaluation, and a row for each chunk:

    steps and time_steps, which are the shape of the call, the batch being the same everywhere; train_s and data_s, the
    seconds of training and of waiting for its batches; pause_s, those of evaluations and checkpoints since the chunk
    before it; elapsed_s, the seconds since training began; warmup, whether the call belongs to the warm-up of its
    shape, and first, whether it is the first of its shape in its process.

    data_cpu_s is what making the batches took, CPU seconds of the thread that does it beside training.

    The clock starts when a History is made. One that goes on from an earlier process' has its seconds so far; what that
    process did after its last checkpoint is lost and in no figure.
    """

    def __init__(self, earlier: Mapping[str, Any] | None = None) -> None:
        earlier = earlier or {}
        self.losses: list[float] = list(earlier.get("losses", []))
        self.chunks: dict[str, list[Any]] = {
            name: list(earlier.get("chunks", {}).get(name, [])) for name in CHUNK_COLUMNS
        }
        self.evaluations: list[dict[str, Any]] = list(earlier.get("evaluations", []))
        self.target_reached: dict[str, Any] | None = earlier.get("target_reached")
        self.resumed_at_steps: list[int] = list(earlier.get("resumed_at_steps", []))
        self.paused_s: dict[str, float] = dict(earlier.get("paused_s", {}))
        self.pause_s: float = earlier.get("pause_s", 0.0)
        self.data_cpu_s: float = earlier.get("data_cpu_s", 0.0)
        if earlier:
            self.resumed_at_steps.append(len(self.losses))
        self.calls: Counter[tuple[int, int]] = Counter()
        self.started_s: float = time.perf_counter() - earlier.get("elapsed_s", 0.0)

    def to_dict(self) -> dict[str, Any]:
        """What a later process needs to go on."""
        kept = ("losses", "chunks", "evaluations", "target_reached", "resumed_at_steps", "data_cpu_s")
        return {name: getattr(self, name) for name in (*kept, "paused_s", "pause_s")} | {"elapsed_s": self.elapsed_s()}

    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started_s

    def append(self, losses: list[float], *, time_steps: int, data_s: float, train_s: float) -> None:
        self.losses += losses
        shape = (len(losses), time_steps)
        self.calls[shape] += 1
        warmup, first = self.calls[shape] <= WARMUP_CALLS, self.calls[shape] == 1
        row = (*shape, train_s, data_s, self.pause_s, self.elapsed_s(), warmup, first)
        self.pause_s = 0.0
        for column, value in zip(self.chunks.values(), row, strict=True):
            column.append(value)

    def pause(self, what: str, seconds: float) -> None:
        """Count seconds between two chunks that were spent on `what`: "validation" or "checkpoint"."""
        self.paused_s[what] = self.paused_s.get(what, 0.0) + seconds
        self.pause_s += seconds

    def drop_divergence(self) -> str:
        """Forget the first loss that is not finite and those after it, which JSON cannot hold; say where it was."""
        step = next(step for step, loss in enumerate(self.losses, 1) if not np.isfinite(loss))
        loss = self.losses[step - 1]
        del self.losses[step - 1 :]
        return f"the loss is {loss} at step {step}"

    def times(self) -> dict[str, float]:
        """Seconds of the stages of training."""
        return training_stages(self.chunks, self.paused_s)
