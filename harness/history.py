"""What training leaves behind while it goes on: losses, times and evaluations."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

# A framework may compile, tune or allocate in the first calls of a shape; these are never counted as steady.
WARMUP_CALLS = 2
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
        """Seconds of the parts of training.

        first_step_s is the first call less its other steps at the steady pace: what compilation costs. Where no call is
        steady the two cannot be told apart, and it is the whole first call. recompile_s is what the first calls of
        further shapes, and of every shape after a resume, took beyond the steady pace of theirs.
        """
        steps, train_s, first = (np.array(self.chunks[name]) for name in ("steps", "train_s", "first"))
        first_step_s, parts = float(train_s[0]), {}
        paces_s = self._paces_s()
        if paces_s is not None:
            first_step_s = max(float(first_step_s - (steps[0] - 1) * paces_s[0]), float(paces_s[0]))
            excess_s = np.maximum(0, train_s - steps * paces_s)
            if first.sum() > 1:
                parts["recompile_s"] = float(excess_s[first][1:].sum())
        parts |= {f"{what}_s": seconds for what, seconds in self.paused_s.items()}
        steady_s = float(train_s.sum()) - first_step_s - parts.get("recompile_s", 0.0)
        data_s = float(np.sum(self.chunks["data_s"]))
        return {"first_step_s": first_step_s, "steady_s": steady_s, "data_s": data_s, **parts}

    def _paces_s(self) -> np.ndarray[Any, np.dtype[np.float64]] | None:
        """Seconds of a steady step of each chunk's shape (chunks,): the median over its steady calls or, where it has
        none, that of all shapes for as many time steps. None where no call is steady."""
        names = ("steps", "time_steps", "train_s", "warmup")
        steps, time_steps, train_s, warmup = (np.array(self.chunks[name]) for name in names)
        if warmup.all():
            return None
        step_s = train_s / steps
        paces_s = np.median((step_s / time_steps)[~warmup]) * time_steps
        for shape in set(zip(steps, time_steps, strict=True)):
            same = (steps == shape[0]) & (time_steps == shape[1])
            if (same & ~warmup).any():
                paces_s[same] = np.median(step_s[same & ~warmup])
        return np.asarray(paces_s, np.float64)
