from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest

from backends.contract import Array, Chunk
from harness.config import EvaluateConfig, ModelConfig, RunConfig, TrainConfig
from harness.evaluation import evaluate
from harness.history import History
from harness.task import END_FLAG, FIRST_BIT, CopyTask
from harness.training import make_chunk, train_steps

CONFIG = RunConfig(task=CopyTask(max_length=3), model=ModelConfig(layers=1, hidden=2))


class ScriptedTrainer:
    """Loses what it was told to."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.seen = losses, 0

    def train(self, chunk: Chunk) -> Array:
        self.seen += len(chunk.learning_rates)
        return np.array(self.losses[self.seen - len(chunk.learning_rates) : self.seen])


def with_train(**train: Any) -> RunConfig:
    return dataclasses.replace(CONFIG, train=TrainConfig(batch=4, **train))


def train(config: RunConfig, losses: list[float]) -> dict[str, Any]:
    record: dict[str, Any] = {"status": "ok", "timeline": {}}
    train_steps(ScriptedTrainer(losses), config, 0, record, io.BytesIO())
    return record


def test_chunks_are_the_batches_of_their_steps() -> None:
    chunk = make_chunk(with_train(steps=10, chunk=4), 3, 4)
    assert chunk.inputs.shape == (4, 4, 8, 10)
    for k in range(4):
        batch = CONFIG.task.batch(seed=3, step=4 + k, size=4)
        np.testing.assert_array_equal(chunk.inputs[k], batch.inputs)
        np.testing.assert_array_equal(chunk.targets[k], batch.targets)


@pytest.mark.parametrize(("first_step", "n_steps"), [(0, 4), (4, 2), (6, 4), (10, 1)])
def test_a_chunk_ends_with_its_epoch_and_with_the_last_step(first_step: int, n_steps: int) -> None:
    config = with_train(steps=11, chunk=4, epoch_steps=6)
    assert len(make_chunk(config, 0, first_step).learning_rates) == n_steps


def test_every_step_is_taken_once() -> None:
    record = train(with_train(steps=7, chunk=3), [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert record["losses"] == [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert record["chunks"]["steps"] == [3, 3, 1]


def test_training_stops_after_the_epoch_that_arrives() -> None:
    config = with_train(steps=12, chunk=2, epoch_steps=4, stop_at_loss=0.5)
    record = train(config, [0.1, 1.0, 1.0, 1.0, 0.4, 0.5, 0.6, 0.5, 9.0, 9.0, 9.0, 9.0])
    assert len(record["losses"]) == 8


def test_a_loss_that_is_not_finite_ends_the_cell_and_keeps_what_came_before() -> None:
    record = train(with_train(steps=6, chunk=3), [0.7, 0.6, 0.5, 0.4, float("inf"), 0.2])
    assert (record["status"], record["reason"]) == ("diverged", "the loss is inf at step 5")
    assert record["losses"] == [0.7, 0.6, 0.5, 0.4]


class Copier:
    """Answers every bit rightly, and 0.5 on the idle outputs."""

    def __init__(self, task: CopyTask) -> None:
        self.task = task

    def predict(self, inputs: Array) -> Array:
        answers = np.full((*inputs.shape[:2], self.task.output_channels), 0.5, np.float32)
        answers[..., : self.task.bits] = 0.001
        for answer, shown in zip(answers, inputs, strict=True):
            length = int(shown[:, END_FLAG].argmax()) - 1
            answer[length + 2 : 2 * length + 2, : self.task.bits] = shown[1 : length + 1, FIRST_BIT:]
        return answers


def test_idle_outputs_count_in_no_measure_and_are_not_drawn() -> None:
    measured = []
    for idle_outputs in (0, 1):
        task = CopyTask(bits=2, max_length=3, idle_outputs=idle_outputs)
        evaluation = EvaluateConfig(test_batches=1, test_batch=4, sequences=4, beyond=())
        config = dataclasses.replace(CONFIG, task=task, evaluate=evaluation)
        measured.append(evaluate(Copier(task), config))
    plain, idle = measured
    floors = [each["test"].pop("cross_entropy_floor") for each in measured]
    assert idle == plain
    assert plain["lengths"][0]["wrong_bits"] == 0
    # The floor of the training loss is over all outputs, and an idle one costs more than one of which some are due.
    assert floors[1] > floors[0]


def test_the_first_calls_of_each_shape_are_warm_up() -> None:
    history = History()
    for n_steps in (5, 5, 5, 2, 5, 2, 2):
        history.append([0.5] * n_steps, time_steps=4, data_s=0.0, train_s=1.0)
    assert history.chunks["warmup"] == [True, True, False, True, False, True, False]


def test_the_first_step_is_the_first_call_less_its_other_steps_at_the_steady_pace() -> None:
    history = History()
    for train_s in (10.0, 3.0, 2.0, 2.0):
        history.append([0.5, 0.5], time_steps=4, data_s=0.25, train_s=train_s)
    assert history.times() == {"first_step_s": 9.0, "steady_s": 8.0, "data_s": 1.0}
