"""What training leaves behind while it goes on: losses, times and evaluations."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np

from harness.records.messages import HistoryState
from harness.records.structs import Chunks, Validated
from harness.records.timeline import WARMUP_CALLS, training_stages


class History:
    """Every loss, call and evaluation, as a Measured has them, and what was spent between the calls (HistoryState).

    The clock starts when a History is made. One that goes on from an earlier process' has its seconds so far; what that
    process did after its last checkpoint is lost and in no figure.
    """

    def __init__(self, earlier: HistoryState | None = None) -> None:
        state = earlier or HistoryState(
            losses=[],
            chunks=Chunks(*([] for _ in Chunks.__struct_fields__)),
            evaluations=[],
            target_reached=None,
            resumed_at_steps=[],
            data_cpu_s=0.0,
            paused_s={},
            pause_s=0.0,
            elapsed_s=0.0,
        )
        self.losses, self.chunks = state.losses, state.chunks
        self.evaluations, self.target_reached = state.evaluations, state.target_reached
        self.resumed_at_steps = [*state.resumed_at_steps, *([len(state.losses)] if earlier else [])]
        self.paused_s, self.pause_s, self.data_cpu_s = state.paused_s, state.pause_s, state.data_cpu_s
        self.calls: Counter[tuple[int, int]] = Counter()
        self.started_s = time.perf_counter() - state.elapsed_s

    def state(self) -> HistoryState:
        """What a later process needs to go on."""
        return HistoryState(
            losses=self.losses,
            chunks=self.chunks,
            evaluations=self.evaluations,
            target_reached=self.target_reached,
            resumed_at_steps=self.resumed_at_steps,
            data_cpu_s=self.data_cpu_s,
            paused_s=self.paused_s,
            pause_s=self.pause_s,
            elapsed_s=self.elapsed_s(),
        )

    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started_s

    def append(self, losses: list[float], *, time_steps: int, data_s: float, train_s: float, cpu_s: float) -> None:
        self.losses += losses
        shape = (len(losses), time_steps)
        self.calls[shape] += 1
        columns = self.chunks
        # The checkpoint of an earlier version has calls without it; then nothing is in the column.
        if len(columns.cpu_s) == len(columns.steps):
            columns.cpu_s.append(to_nanoseconds(cpu_s))
        columns.steps.append(len(losses))
        columns.time_steps.append(time_steps)
        columns.train_s.append(to_nanoseconds(train_s))
        columns.data_s.append(to_nanoseconds(data_s))
        columns.pause_s.append(to_nanoseconds(self.pause_s))
        columns.elapsed_s.append(to_nanoseconds(self.elapsed_s()))
        columns.warmup.append(self.calls[shape] <= WARMUP_CALLS)
        columns.first.append(self.calls[shape] == 1)
        self.pause_s = 0.0

    def evaluated(self, validated: Validated, meets_target: bool) -> None:
        """Keep an evaluation; the first that meets the target is told apart."""
        self.evaluations.append(validated)
        if meets_target and self.target_reached is None:
            self.target_reached = validated

    def pause(self, what: str, seconds: float) -> None:
        """Count seconds between two calls that were spent on `what`: "validation" or "checkpoint"."""
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


def to_nanoseconds(seconds: float) -> float:
    """Seconds without the digits that the clocks do not tell."""
    return round(seconds, 9)
