"""Train one cell and evaluate it, with a clock on every part."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from backends.contract import Array, Chunk, Implementation, Parameters, Trainer
from harness import metrics
from harness.config import RunConfig
from harness.protocol import write_message
from harness.task import CopyBatch

# A framework may compile, tune or allocate in the first calls of a shape; these are never counted as steady.
WARMUP_CALLS = 2
PROGRESS_INTERVAL_S = 0.5


def train_cell(
    implementation: Implementation, request: dict[str, Any], record: dict[str, Any], stream: BinaryIO
) -> Parameters:
    """Fill `record` with what happened and return the final parameters."""
    config = RunConfig.from_dict(request["configuration"])
    begun_s = time.perf_counter()
    trainer = implementation.build(
        config.model_spec(),
        config.optimizer,
        config.initial_parameters(request["seed"]),
        device=request["device"],
        precision=request["precision"],
    )
    record["timeline"]["build_s"] = time.perf_counter() - begun_s
    record["settings"] = {**trainer.settings(), "cpus": request["cpus"]}
    record["device"] = record["settings"]["device"]
    record["n_parameters"] = sum(array.size for array in trainer.parameters().values())
    train_steps(trainer, config, request["seed"], record, stream)
    if record["status"] == "ok":
        write_message(stream, "phase", {"phase": "evaluate"})
        begun_s = time.perf_counter()
        record["evaluation"] = evaluate(trainer, config)
        record["timeline"]["evaluation_s"] = time.perf_counter() - begun_s
    record["peak_memory_bytes"] = trainer.peak_memory_bytes()
    return trainer.parameters()


def train_steps(trainer: Trainer, config: RunConfig, seed: int, record: dict[str, Any], stream: BinaryIO) -> None:
    """Take the configured steps, chunk by chunk; stop early at the loss to reach, or where it is not finite."""
    history, others = History(), OtherProcesses()
    progress = Progress(stream, config.train.batch)
    while len(history.losses) < config.train.steps and not _has_arrived(config, history.losses):
        begun_s = time.perf_counter()
        chunk = make_chunk(config, seed, len(history.losses))
        made_s = time.perf_counter()
        losses = trainer.train(chunk)
        trained_s = time.perf_counter()
        if losses.shape != chunk.learning_rates.shape:
            raise ValueError(f"losses of shape {losses.shape} for {len(chunk.learning_rates)} steps")
        history.append(losses.tolist(), data_s=made_s - begun_s, train_s=trained_s - made_s)
        if not np.isfinite(losses).all():
            record.update(status="diverged", reason=history.drop_divergence())
            break
        progress.report(history)
    record.update(losses=history.losses, chunks=history.chunks, other_cpu_share=others.share())
    record["timeline"].update(history.times())


class History:
    """Every loss, and a row for each chunk: its steps, seconds of training and of making its data, the seconds since
    training began, and whether the call belongs to the warm-up of its shape."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.chunks: dict[str, list[Any]] = {name: [] for name in ("steps", "train_s", "data_s", "elapsed_s", "warmup")}
        self.calls: Counter[int] = Counter()
        self.started_s = time.perf_counter()

    def append(self, losses: list[float], *, data_s: float, train_s: float) -> None:
        self.losses += losses
        self.calls[len(losses)] += 1
        elapsed_s = time.perf_counter() - self.started_s
        row = (len(losses), train_s, data_s, elapsed_s, self.calls[len(losses)] <= WARMUP_CALLS)
        for column, value in zip(self.chunks.values(), row, strict=True):
            column.append(value)

    def drop_divergence(self) -> str:
        """Forget the first loss that is not finite and those after it, which JSON cannot hold; say where it was."""
        step = next(step for step, loss in enumerate(self.losses, 1) if not np.isfinite(loss))
        loss = self.losses[step - 1]
        del self.losses[step - 1 :]
        return f"the loss is {loss} at step {step}"

    def times(self) -> dict[str, float]:
        """first_step_s is the first call less its other steps at the steady pace: what compilation costs. Where no
        call is steady the two cannot be told apart, and it is the whole first call."""
        steps, train_s, warmup = (np.array(self.chunks[name]) for name in ("steps", "train_s", "warmup"))
        first_step_s = float(train_s[0])
        if not warmup.all():
            pace_s = np.median(np.repeat(train_s[~warmup] / steps[~warmup], steps[~warmup]))
            first_step_s = max(float(first_step_s - (steps[0] - 1) * pace_s), float(pace_s))
        steady_s = float(train_s.sum()) - first_step_s
        return {"first_step_s": first_step_s, "steady_s": steady_s, "data_s": float(np.sum(self.chunks["data_s"]))}


class OtherProcesses:
    """How much of the machine's processors other processes use, from its making on."""

    def __init__(self) -> None:
        self.machine_s, self.own_s, self.started_s = machine_busy_s(), time.process_time(), time.perf_counter()

    def share(self) -> float | None:
        """0..1 of all processors; None where the system does not tell."""
        busy_s = machine_busy_s()
        if busy_s is None or self.machine_s is None:
            return None
        own_s = time.process_time() - self.own_s
        available_s = (os.cpu_count() or 1) * (time.perf_counter() - self.started_s)
        return max(0.0, (busy_s - self.machine_s - own_s) / available_s)


def machine_busy_s() -> float | None:
    """Seconds that all processors together have worked since boot: user, nice, system, interrupts and stolen time of
    Linux' /proc/stat; None elsewhere."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, fields[:8])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


class Progress:
    """Tells the parent how far training is, seldom enough to cost nothing."""

    def __init__(self, stream: BinaryIO, batch: int) -> None:
        self.stream, self.batch, self.reported_s = stream, batch, 0.0

    def report(self, history: History) -> None:
        if time.perf_counter() - self.reported_s < PROGRESS_INTERVAL_S:
            return
        self.reported_s = time.perf_counter()
        rate = history.chunks["steps"][-1] * self.batch / history.chunks["train_s"][-1]
        body = {"step": len(history.losses), "loss": history.losses[-1], "sequences_per_s": rate}
        write_message(self.stream, "progress", body)


def make_chunk(config: RunConfig, seed: int, first_step: int) -> Chunk:
    """The next batches from first_step (0-based): a chunk ends with the epoch and with the last step."""
    train = config.train
    n_steps = min(train.chunk, train.steps - first_step, train.epoch_steps - first_step % train.epoch_steps)
    batches = [
        config.task.batch(seed=seed, step=step, size=train.batch) for step in range(first_step, first_step + n_steps)
    ]
    return Chunk(
        inputs=np.stack([batch.inputs for batch in batches]),
        targets=np.stack([batch.targets for batch in batches]),
        learning_rates=train.learning_rates(first_step, n_steps),
    )


def _has_arrived(config: RunConfig, losses: list[float]) -> bool:
    epoch = config.train.epoch_steps
    return bool(losses and len(losses) % epoch == 0 and np.mean(losses[-epoch:]) <= config.train.stop_at_loss)


def evaluate(trainer: Trainer, config: RunConfig) -> dict[str, Any]:
    """The measures on the held-out data: the mixed test set, each length, and one sequence a length to draw."""
    return {
        "test": _evaluate_test_set(trainer, config),
        "lengths": [_evaluate_length(trainer, config, length) for length in config.evaluate.lengths(config.task)],
        "copies": [_draw_copy(trainer, config, length) for length in config.evaluate.copy_lengths(config.task)],
    }


def _evaluate_test_set(trainer: Trainer, config: RunConfig) -> dict[str, Any]:
    size, seed = config.evaluate.test_batch, config.evaluate.seed
    batches = [
        config.task.batch(seed=seed, step=step, size=size, stream="test")
        for step in range(config.evaluate.test_batches)
    ]
    probabilities = _predict(trainer, config, np.concatenate([batch.inputs for batch in batches]))
    all_targets = np.concatenate([batch.targets for batch in batches])
    targets = config.task.bits_of(all_targets)
    return {
        "sequences": len(targets),
        "seed_loss": metrics.seed_loss(probabilities, targets),
        "seed_loss_floor": metrics.seed_loss_floor(targets),
        # The training loss counts every output, idle ones too; so does its floor.
        "cross_entropy_floor": metrics.cross_entropy_floor(all_targets),
        "mean_absolute_error": metrics.mean_absolute_error(probabilities, targets),
    }


def _evaluate_length(trainer: Trainer, config: RunConfig, length: int) -> dict[str, Any]:
    batch = _evaluation_batch(config, length)
    targets = config.task.bits_of(batch.targets)
    return {
        "length": length,
        **metrics.copy_measures(_predict(trainer, config, batch.inputs), targets, batch.mask),
    }


def _draw_copy(trainer: Trainer, config: RunConfig, length: int) -> dict[str, Any]:
    """The first sequence of the length's evaluation batch: picked by its place, not by its looks."""
    batch = _evaluation_batch(config, length)
    prediction = _predict(trainer, config, batch.inputs[: config.evaluate.test_batch])[0]
    return {
        "length": length,
        "target": _rounded(config.task.bits_of(batch.targets[0])),
        "prediction": _rounded(prediction),
    }


def _evaluation_batch(config: RunConfig, length: int) -> CopyBatch:
    evaluate = config.evaluate
    return config.task.evaluation_batch(seed=evaluate.seed, length=length, size=evaluate.sequences)


def _predict(trainer: Trainer, config: RunConfig, inputs: Array) -> Array:
    """Predicted bits (batch, time, bits), in pieces of test_batch sequences, so that long sequences need no more
    memory than training.

    Raises FloatingPointError where one is not finite: compared with 0.5, NaN would count as a 0.
    """
    size = config.evaluate.test_batch
    pieces = [trainer.predict(inputs[start : start + size]) for start in range(0, len(inputs), size)]
    probabilities = np.concatenate(pieces)
    if not np.isfinite(probabilities).all():
        raise FloatingPointError("the predictions are not finite")
    return config.task.bits_of(probabilities)


def _rounded(array: Array) -> list[list[float]]:
    rounded: list[list[float]] = np.round(array.astype(np.float64), 4).tolist()
    return rounded
