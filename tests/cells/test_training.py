from __future__ import annotations

import dataclasses
import io
import time
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from backends.contract import Array, Chunk
from harness.cells.chunks import make_chunk
from harness.cells.evaluation import Validation, evaluate
from harness.cells.history import History
from harness.cells.training import Training
from harness.records.structs import Chunks, Measured, Validated
from harness.task.copy_task import CopyBatch, CopyTask
from harness.task.presets import load_preset
from harness.task.recipe import EvaluateConfig, ModelConfig, RunConfig, TargetConfig, TrainConfig

CONFIG = RunConfig(task=CopyTask(max_length=3), model=ModelConfig(layers=1, hidden=2))


class ScriptedTrainer:
    """Loses what it was told to, in float32: a record has these losses in the digits that they were given in."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.seen = losses, 0

    def train(self, chunk: Chunk) -> Array:
        self.seen += len(chunk.learning_rates)
        return np.array(self.losses[self.seen - len(chunk.learning_rates) : self.seen], np.float32)


def with_train(**train: Any) -> RunConfig:
    return dataclasses.replace(CONFIG, train=TrainConfig(batch=4, **train))


def train(config: RunConfig, losses: list[float]) -> Trained:
    return train_with(ScriptedTrainer(losses), config)


@dataclasses.dataclass
class Trained:
    """What a record holds after training, none of it None."""

    status: str
    reason: str | None
    losses: list[float]
    chunks: Chunks
    timeline: dict[str, float]
    evaluations: list[Validated]
    target_reached: Validated | None
    data_cpu_s: float


def train_with(trainer: Any, config: RunConfig) -> Trained:
    record = Measured(status="ok")
    Training(trainer, config, 0, io.BytesIO()).run(record)
    return Trained(**{field.name: getattr(record, field.name) for field in dataclasses.fields(Trained)})


def test_chunks_are_the_batches_of_their_steps() -> None:
    chunk = make_chunk(with_train(steps=10, chunk=4), 3, 4)
    assert chunk.inputs.shape == (4, 4, 8, 10)
    for k in range(4):
        batch = CONFIG.task.batch(seed=3, step=4 + k, size=4)
        np.testing.assert_array_equal(chunk.inputs[k], batch.inputs)
        np.testing.assert_array_equal(chunk.targets[k], batch.targets)


@pytest.mark.parametrize(("first_step", "n_steps"), [(0, 4), (4, 2), (6, 4), (10, 1)])
def test_a_chunk_ends_before_an_evaluation_and_with_the_last_step(first_step: int, n_steps: int) -> None:
    config = with_train(steps=11, chunk=4, evaluate_every=6)
    assert len(make_chunk(config, 0, first_step).learning_rates) == n_steps


def test_every_step_is_taken_once() -> None:
    record = train(with_train(steps=7, chunk=3), [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert record.losses == [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert record.chunks.steps == [3, 3, 1]


def test_the_original_recipe_does_not_stop_where_its_loss_is_low() -> None:
    config = load_preset("original", ["train.steps=1500", "train.batch=1", "train.evaluate_every=0"])
    assert len(train(config, [0.0001] * 1500).losses) == 1500


def test_a_loss_that_is_not_finite_ends_the_cell_and_keeps_what_came_before() -> None:
    record = train(with_train(steps=6, chunk=3), [0.7, 0.6, 0.5, 0.4, float("inf"), 0.2])
    assert (record.status, record.reason) == ("diverged", "the loss is inf at step 5")
    assert record.losses == [0.7, 0.6, 0.5, 0.4]


class Copier:
    """Answers every bit rightly, and 0.5 on the idle outputs."""

    def __init__(self, task: CopyTask) -> None:
        self.task, self.right = task, {}
        for length in (1, 2, 3, 6, 18, 20):
            self.remember(task.evaluation_batch(seed=0, length=length, size=4))
        self.remember(task.batch(seed=0, step=0, size=4, stream="test"))

    def remember(self, batch: CopyBatch) -> None:
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            self.right[inputs.tobytes()] = targets

    def predict(self, inputs: Array) -> Array:
        answers = np.stack([self.right[each.tobytes()] for each in inputs])
        answers[..., self.task.bits :] = 0.5
        return answers


def test_idle_outputs_count_in_no_measure_and_are_not_drawn() -> None:
    measured = []
    for idle_outputs in (0, 1):
        task = CopyTask(bits=2, max_length=3, idle_outputs=idle_outputs)
        evaluation = EvaluateConfig(test_batches=1, test_batch=4, sequences=4, beyond=())
        config = dataclasses.replace(CONFIG, task=task, evaluate=evaluation)
        measured.append(evaluate(Copier(task), config))
    plain, idle = measured
    floors = [each.test.cross_entropy_floor for each in measured]
    assert (idle.lengths, idle.copies) == (plain.lengths, plain.copies)
    assert replace(idle.test, cross_entropy_floor=floors[0]) == plain.test
    assert plain.lengths[0].wrong_bits == 0
    # The floor of the training loss is over all outputs, and an idle one costs more than one of which some are due.
    assert floors[1] > floors[0]


def test_the_first_calls_of_each_shape_are_warm_up() -> None:
    history = History()
    for n_steps in (5, 5, 5, 2, 5, 2, 2):
        history.append([0.5] * n_steps, time_steps=4, data_s=0.0, train_s=1.0, cpu_s=1.0)
    assert history.chunks.warmup == [True, True, False, True, False, True, False]


def test_the_first_step_is_the_first_call_less_its_other_steps_at_the_steady_pace() -> None:
    history = History()
    for train_s in (10.0, 3.0, 2.0, 2.0):
        history.append([0.5, 0.5], time_steps=4, data_s=0.25, train_s=train_s, cpu_s=train_s)
    assert history.times() == {"first_step_s": 9.0, "steady_s": 8.0, "data_s": 1.0}


def test_what_making_the_batches_costs_is_counted_whether_or_not_training_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make_slowly(*arguments: Any) -> Chunk:
        begun_s = time.thread_time()
        while time.thread_time() - begun_s < 0.05:
            pass
        return make_chunk(*arguments)

    monkeypatch.setattr("harness.cells.chunks.make_chunk", make_slowly)
    record = train(with_train(steps=8, chunk=2), [0.5] * 8)
    assert 0.2 <= record.data_cpu_s < 0.3


# --- Evaluation towards a target ------------------------------------------------------------------------------


class LearningTrainer(ScriptedTrainer):
    """Predicts the targets of the validation data once it has taken so many steps; before that, nothing but zeros."""

    def __init__(self, config: RunConfig, knows_at_step: int) -> None:
        super().__init__([0.5] * config.train.steps)
        self.knows_at_step, self.config = knows_at_step, config

    def predict(self, inputs: Array) -> Array:
        targets = Validation(self.config).batch.targets
        return targets if self.seen >= self.knows_at_step else np.full_like(targets, 0.001)


def train_towards(*, knows_at_step: int, target: TargetConfig, **changes: Any) -> Trained:
    train = TrainConfig(batch=4, steps=20, chunk=4, evaluate_every=6, **changes)
    evaluate = EvaluateConfig(validation_batches=1, test_batch=20)
    config = RunConfig(task=CONFIG.task, train=train, evaluate=evaluate, target=target)
    return train_with(LearningTrainer(config, knows_at_step), config)


def test_it_is_evaluated_every_so_many_steps_and_after_the_last() -> None:
    record = train_towards(knows_at_step=7, target=TargetConfig(wrong_bits_per_sequence=0.0))
    assert [row.step for row in record.evaluations] == [6, 12, 18, 20]
    assert [row.sequences for row in record.evaluations] == [24, 48, 72, 80]
    assert [row.wrong_bits_per_sequence > 0 for row in record.evaluations] == [True, False, False, False]
    assert record.chunks.steps == [4, 2, 4, 2, 4, 2, 2]


def test_the_first_evaluation_that_meets_all_of_the_target_is_kept() -> None:
    record = train_towards(knows_at_step=7, target=TargetConfig(wrong_bits_per_sequence=0.0, original_loss=0.01))
    assert record.target_reached == record.evaluations[1]
    assert len(record.losses) == 20
    never = train_towards(knows_at_step=7, target=TargetConfig(wrong_bits_per_sequence=0.0, original_loss=0.001))
    assert never.target_reached is None


def test_training_stops_at_the_target_where_it_is_told_to() -> None:
    target = TargetConfig(wrong_bits_per_sequence=0.0)
    record = train_towards(knows_at_step=7, target=target, stop_at_target=True)
    assert record.target_reached is not None
    assert (len(record.losses), record.target_reached.step) == (12, 12)


def test_evaluations_are_in_the_clock_and_in_no_step() -> None:
    record = train_towards(knows_at_step=7, target=TargetConfig(wrong_bits_per_sequence=0.0))
    chunks, timeline = record.chunks, record.timeline
    assert [pause_s > 0 for pause_s in chunks.pause_s] == [False, False, True, False, True, False, True]
    # The last evaluation has no chunk after it.
    assert timeline["validation_s"] > sum(chunks.pause_s)
    for row, place in zip(record.evaluations, (1, 3, 5, 6), strict=True):
        assert row.elapsed_s > chunks.elapsed_s[place]
    trained_s = timeline["first_step_s"] + timeline["steady_s"] + timeline.get("recompile_s", 0.0)
    assert trained_s == pytest.approx(sum(chunks.train_s))


def test_predictions_that_are_not_finite_end_the_cell_with_the_step() -> None:
    config = dataclasses.replace(with_train(steps=6, chunk=2, evaluate_every=4))
    trainer = ScriptedTrainer([0.5] * 6)
    trainer.predict = lambda inputs: np.full((*inputs.shape[:2], 8), np.nan)  # type: ignore[attr-defined]
    record = train_with(trainer, config)
    assert (record.status, record.reason) == ("diverged", "the predictions are not finite after step 4")
    assert len(record.losses) == 4


def test_validation_data_are_of_a_stream_of_their_own() -> None:
    config = dataclasses.replace(CONFIG, evaluate=EvaluateConfig(validation_batches=1, test_batch=50))
    held_out = {row.tobytes() for row in config.task.batch(seed=0, step=0, size=50, stream="test").inputs}
    validation = Validation(config).batch
    np.testing.assert_array_equal(
        validation.inputs, config.task.batch(seed=0, step=0, size=50, stream="validation").inputs
    )
    long_ones = [row.tobytes() for row, length in zip(validation.inputs, validation.lengths, strict=True) if length > 2]
    assert long_ones
    assert held_out.isdisjoint(long_ones)
