"""What a run is made of: plain dataclasses that check themselves, so that the worker needs no other library."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from backends.contract import Array, ModelSpec, OptimizerSpec, Parameters, check_at_least, check_choice
from harness.task.copy_task import LARGEST_SEED, CopyTask, initial_parameters

SCHEDULES = ("constant", "cosine")
# Calls with one sequence for each call with many: the 95th percentile needs more calls than the median.
SINGLE_CALLS = 20
# What the loss of a step, a call of `train` and an evaluation take at most in a worker's message, which is the
# narrowest place that a cell's whole history goes through, and how much of it there may be.
STEP_BYTES, CALL_BYTES, EVALUATION_BYTES = 26, 200, 260
MOST_HISTORY_BYTES = 60 * 2**20
HELD_OUT_SIZES = ("test_batches", "test_batch", "validation_batches", "sequences")


@dataclass(frozen=True)
class ModelConfig:
    """The network's size, what its initial parameters are scaled with (task.initial_parameters), and its wiring
    (contract.ModelSpec)."""

    layers: int = 3
    hidden: int = 256
    forget_bias: float = 1.0
    input_scale: float = 1.0
    input_to_every_layer: bool = False
    every_layer_to_output: bool = False
    learned_initial_state: bool = False

    def __post_init__(self) -> None:
        check_at_least("model", {"layers": self.layers, "hidden": self.hidden}, 1)
        check_at_least("model", {"input_scale": self.input_scale}, 0)
        check_at_least("model", {"forget_bias": self.forget_bias}, -100)


@dataclass(frozen=True)
class TrainConfig:
    """How long to train and how fast to learn.

    A chunk is what a trainer is handed at once. The learning rate rises linearly over warmup_steps, then stays
    ("constant") or falls along half a cosine to 0 at the last step ("cosine").

    Every evaluate_every steps (0: never) and at the last one the network is evaluated on the validation data; with
    stop_at_target training ends where that meets the target. A state to resume from is kept every checkpoint_every_s
    seconds (0: never).
    """

    batch: int = 100
    steps: int = 1000
    chunk: int = 10
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_steps: int = 0
    evaluate_every: int = 0
    stop_at_target: bool = False
    checkpoint_every_s: float = 120.0

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("batch", "steps", "chunk")}
        check_at_least("train", sizes, 1)
        names = ("learning_rate", "warmup_steps", "evaluate_every", "checkpoint_every_s")
        check_at_least("train", {name: getattr(self, name) for name in names}, 0)
        check_choice("train", "schedule", self.schedule, SCHEDULES)

    def learning_rates(self, first_step: int, n_steps: int) -> Array:
        """The learning rate of each of n_steps steps from first_step (0-based), float32 (n_steps,)."""
        step = np.arange(first_step, first_step + n_steps)
        rate = np.full(n_steps, self.learning_rate)
        if self.schedule == "cosine":
            rate *= 0.5 * (1 + np.cos(np.pi * step / self.steps))
        if self.warmup_steps:
            rate *= np.minimum(1, (step + 1) / self.warmup_steps)
        return rate.astype(np.float32)


@dataclass(frozen=True)
class TargetConfig:
    """The quality to reach: at most so much of each that is given, on validation data that the test data never meet.

    original_loss is the original's metric in nats, padding included; wrong_bits_per_sequence the mean over sequences of
    mixed lengths.
    """

    original_loss: float | None = None
    wrong_bits_per_sequence: float | None = None

    def __post_init__(self) -> None:
        check_at_least("target", self.bounds(), 0)

    def bounds(self) -> dict[str, float]:
        """Those that are given."""
        given = {"original_loss": self.original_loss, "wrong_bits_per_sequence": self.wrong_bits_per_sequence}
        return {name: bound for name, bound in given.items() if bound is not None}

    @property
    def exists(self) -> bool:
        return bool(self.bounds())

    def is_met_by(self, measured: object) -> bool:
        """Whether there is a target and all of it is reached; what was measured has an attribute for each bound."""
        return self.exists and all(getattr(measured, name) <= bound for name, bound in self.bounds().items())


@dataclass(frozen=True)
class EvaluateConfig:
    """The held-out data, the same for every cell: test_batches batches of test_batch sequences of mixed lengths, as
    many validation_batches for evaluation while training goes on, and `sequences` sequences of each single length;
    the longer lengths are `beyond` times the longest trained. learning is false in a recipe for speed alone, of which
    no report says who learned."""

    learning: bool = True
    seed: int = 0
    test_batches: int = 10
    test_batch: int = 100
    validation_batches: int = 10
    sequences: int = 200
    beyond: tuple[float, ...] = (1.5, 2.0, 3.0, 6.0)

    def __post_init__(self) -> None:
        check_at_least("evaluate", {"seed": self.seed}, 0)
        if self.seed > LARGEST_SEED:
            raise ValueError(f"evaluate.seed must be at most {LARGEST_SEED}, not {self.seed}")
        sizes = {name: getattr(self, name) for name in HELD_OUT_SIZES}
        check_at_least("evaluate", sizes, 1)
        for factor in self.beyond:
            check_at_least("evaluate", {"beyond": factor}, 1)

    def lengths(self, task: CopyTask) -> list[int]:
        """Every trained length, then the longer ones."""
        trained = range(task.min_length, task.max_length + 1)
        longer = [math.ceil(factor * task.max_length) for factor in self.beyond]
        return sorted({*trained, *longer, *self.copy_lengths(task)})

    def copy_lengths(self, task: CopyTask) -> list[int]:
        """Lengths of the sequences that are drawn, in the original's proportions: half, one, two and six times."""
        return sorted({math.ceil(factor * task.max_length) for factor in (0.5, 1, 2, 6)})


@dataclass(frozen=True)
class InferenceConfig:
    """How the trained network is timed in use, on sequences of the longest trained length: in each round a call with
    `batch` sequences, then SINGLE_CALLS calls with one. Without rounds nothing is timed."""

    batch: int = 256
    rounds: int = 0

    def __post_init__(self) -> None:
        check_at_least("inference", {"batch": self.batch}, 1)
        check_at_least("inference", {"rounds": self.rounds}, 0)


@dataclass(frozen=True)
class RunConfig:
    """One training recipe: the task, the network, its optimiser, the schedule, the measures, what to reach, and how
    inference is timed."""

    task: CopyTask = field(default_factory=CopyTask)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)

    def __post_init__(self) -> None:
        if self.target.bounds() and not self.train.evaluate_every:
            raise ValueError("a target needs train.evaluate_every: so many steps lie between two evaluations")
        if self.train.stop_at_target and not self.target.bounds():
            raise ValueError(
                "train.stop_at_target needs a target: target.original_loss or target.wrong_bits_per_sequence"
            )
        if self.history_bytes() > MOST_HISTORY_BYTES:
            kept, room = (f"{n_bytes / 2**20:,.0f} MiB" for n_bytes in (self.history_bytes(), MOST_HISTORY_BYTES))
            raise ValueError(
                f"train.steps = {self.train.steps} would leave {kept} of losses, times and evaluations, and a record"
                f" has room for {room}: take fewer steps, a larger train.chunk or a larger train.evaluate_every"
            )

    def history_bytes(self) -> int:
        """At most so much is kept of every step, call and evaluation of a cell."""
        train, task = self.train, self.task
        n_evaluations = train.steps // train.evaluate_every + 1 if train.evaluate_every else 0
        n_shapes = 0 if task.padding == "full" else train.steps // task.steps_per_draw
        n_calls = min(train.steps, train.steps // train.chunk + 1 + n_evaluations + n_shapes)
        return train.steps * STEP_BYTES + n_calls * CALL_BYTES + n_evaluations * EVALUATION_BYTES

    def model_spec(self) -> ModelSpec:
        return ModelSpec(
            inputs=self.task.input_channels,
            outputs=self.task.output_channels,
            hidden=self.model.hidden,
            layers=self.model.layers,
            input_to_every_layer=self.model.input_to_every_layer,
            every_layer_to_output=self.model.every_layer_to_output,
            learned_initial_state=self.model.learned_initial_state,
        )

    def initial_parameters(self, seed: int) -> Parameters:
        scales = {"forget_bias": self.model.forget_bias, "input_scale": self.model.input_scale}
        return initial_parameters(self.model_spec(), seed, **scales)

    def to_dict(self) -> dict[str, Any]:
        """By section and key. Where inference is not timed it has no section: so recipes from before there was one have
        the digest that their records name."""
        sections = asdict(self)
        if not self.inference.rounds:
            del sections["inference"]
        return sections


def product_shapes(config: RunConfig) -> list[tuple[int, int, int]]:
    """(m, k, n) of the products of a layer: of one time step and of all at once, and of the backward pass for the
    gradients of the weights and of the inputs."""
    hidden, rows = config.model.hidden, config.train.batch * config.task.time_steps(config.task.max_length)
    forward = [(config.train.batch, hidden, 4 * hidden), (rows, hidden, 4 * hidden)]
    return [*forward, (hidden, rows, 4 * hidden), (rows, 4 * hidden, hidden)]
