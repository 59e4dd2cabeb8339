"""What a run's own training asks for: a call of train of each shape that it meets, at its own size.

Small cases do not show a compiler's fault that depends on size, as jax-ml/jax#39103: wrong sums above 32,768 rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backends.contract import Chunk, ModelSpec, OptimizerSpec, Parameters
from harness.task.chunks import chunk_length, make_chunk
from harness.task.metrics import training_step_operations
from harness.task.recipe import RunConfig, TrainConfig

# An optimiser divides a gradient by its own size, which makes what is little more than rounding as large as the rest.
# With an epsilon that is large beside every gradient it does not: momentum and parameters then show an error of
# gradients as it is. The learning rates, which sum up to this, make it visible. The same code is compiled.
EPSILON, LEARNING_RATE = 1.0, 1.0
# What the reference manages in float64 on one processor: 22 to 45 were measured.
REFERENCE_OPERATIONS_PER_S = 20e9
# So long may it take for a call; of a longer one it takes the first step alone.
REFERENCE_LIMIT_S = 10.0


@dataclass(frozen=True)
class TrainingCall:
    """A call of train: n_steps steps of a run from first_step (0-based) on, from the initial parameters of its seed.

    config has the run's task, network, batch and optimiser, with EPSILON for its own; nothing else decides what is
    compiled.
    """

    config: RunConfig
    seed: int
    first_step: int
    n_steps: int

    @property
    def name(self) -> str:
        """As in "5 steps of 100 x 42": sequences of so many time steps."""
        steps = f"{self.n_steps} steps" if self.n_steps > 1 else "a step"
        return f"{steps} of {self.config.train.batch} x {self.time_steps}"

    @property
    def time_steps(self) -> int:
        return self.config.task.training_time_steps(seed=self.seed, step=self.first_step)

    @property
    def optimizer(self) -> OptimizerSpec:
        return self.config.optimizer

    @property
    def reference_s(self) -> float:
        """Seconds that the reference takes for it, by the operations."""
        step = training_step_operations(self.model().n_parameters(), self.config.train.batch, self.time_steps)
        return self.n_steps * step / REFERENCE_OPERATIONS_PER_S

    def model(self) -> ModelSpec:
        return self.config.model_spec()

    def start_parameters(self) -> Parameters:
        return self.config.initial_parameters(self.seed)

    def chunk(self) -> Chunk:
        chunk = make_chunk(self.config, self.seed, self.first_step, self.n_steps)
        return replace(chunk, learning_rates=np.full(self.n_steps, LEARNING_RATE / self.n_steps, np.float32))


def choose_calls(config: RunConfig, seeds: Sequence[int]) -> list[TrainingCall]:
    """For each number of time steps that training meets with any of the seeds, the first of the longest calls.

    A shorter call, as at the end of an epoch, loops over the same step fewer times and is left out; so are the further
    steps of a call that would take the reference longer than REFERENCE_LIMIT_S.
    """
    optimizer = replace(config.optimizer, epsilon=EPSILON)
    decisive = RunConfig(config.task, config.model, optimizer, TrainConfig(batch=config.train.batch))
    # At step 0 nothing cuts a chunk short that does not do so everywhere.
    full_length = chunk_length(config, 0)
    longest: dict[int, TrainingCall] = {}
    unmet = config.task.possible_time_steps()
    for seed, first_step, n_steps in _every_call(config, seeds):
        call = TrainingCall(decisive, seed, first_step, n_steps)
        known = longest.setdefault(call.time_steps, call)
        if n_steps > known.n_steps:
            longest[call.time_steps] = call
        if n_steps == full_length:
            unmet.discard(call.time_steps)
        if not unmet:
            break
    return [_shorten(longest[time_steps]) for time_steps in sorted(longest)]


def _every_call(config: RunConfig, seeds: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Seed, first step and number of steps of each, in order."""
    for seed in seeds:
        step = 0
        while step < config.train.steps:
            n_steps = chunk_length(config, step)
            yield seed, step, n_steps
            step += n_steps


def _shorten(call: TrainingCall) -> TrainingCall:
    return call if call.reference_s <= REFERENCE_LIMIT_S else replace(call, n_steps=1)
