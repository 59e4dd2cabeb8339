"""What the oracle expects of a case: the reference implementation, observed like any other."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from backends.contract import Batch, ModelSpec, OptimizerSpec, Parameters
from backends.reference import ReferenceTrainer
from harness.machine.interruption import is_interrupted
from harness.proof.calls import TrainingCall
from harness.proof.cases import Case
from harness.proof.observation import observe

# What its forward pass keeps for the backward one, in float64, may take so much; a larger batch it takes in parts.
TRACE_LIMIT_BYTES = 2**28
# Numbers of each unit, sequence and time step: the carry, the activations, and the gates before and after.
TRACE_NUMBERS = 16
_one_at_a_time = threading.Lock()


def expect(case: Case | TrainingCall, *, has_state: bool = True) -> Parameters:
    """Every array by name, float64, as a trainer with or without a state is observed; the same for every implementation
    and precision, so computed once. Raises InterruptedError after a signal."""
    # The products are small: more threads would wait for each other, and the workers need the processors.
    with _one_at_a_time, threadpool_limits(1, user_api="blas"):
        return _expect(case, has_state)


def forget() -> None:
    """Give the memory back: what is expected of a large network is large."""
    _expect.cache_clear()


@cache
def _expect(case: Case | TrainingCall, has_state: bool) -> Parameters:
    return observe(_Oracle(has_state), case, device="cpu", precision="float64")


class _Oracle:
    """The reference as an implementation, with a state to tell or without."""

    def __init__(self, has_state: bool) -> None:
        self.has_state = has_state

    def build(self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, **_: Any) -> ReferenceTrainer:
        trainer = _PartwiseTrainer(model, optimizer, parameters)
        if not self.has_state:
            trainer.state = None  # type: ignore[assignment,method-assign]
        return trainer


class _PartwiseTrainer(ReferenceTrainer):
    """The reference, which takes a large batch in parts of its rows: the mean over all is the mean of theirs."""

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        n_rows, n_at_once = len(batch.inputs), self._rows_at_once(batch.inputs.shape[1])
        loss = 0.0
        gradients: Parameters = {name: np.zeros(shape) for name, shape in self._model.shapes().items()}
        for first in range(0, n_rows, n_at_once):
            if is_interrupted():
                raise InterruptedError("asked to end")
            rows = slice(first, first + n_at_once)
            part = Batch(batch.inputs[rows], batch.targets[rows])
            share = len(part.inputs) / n_rows
            part_loss, part_gradients = super().loss_and_gradients(part)
            loss += share * part_loss
            for name, gradient in part_gradients.items():
                gradients[name] += share * gradient
        return loss, gradients

    def _rows_at_once(self, time_steps: int) -> int:
        bytes_a_row = 8 * TRACE_NUMBERS * time_steps * self._model.layers * self._model.hidden
        return max(1, TRACE_LIMIT_BYTES // bytes_a_row)
