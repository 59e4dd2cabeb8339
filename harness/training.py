"""Train one cell and evaluate it, with a clock on every part."""

from __future__ import annotations

import time
from collections import Counter
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


def train_steps(
    trainer: Trainer, config: RunConfig, seed: int, record: dict[str, Any], stream: BinaryIO
) -> None:
    """Take the configured steps, chunk by chunk; stop early at the loss to reach, or where it is not finite."""
    chunks: dict[str, list[Any]] = {"steps": [], "train_s": [], "data_s": [], "elapsed_s": [], "warmup": []}
    losses: list[float] = []
    calls: Counter[int] = Counter()
    started_s = reported_s = time.perf_counter()
    while len(losses) < config.train.steps and not _has_arrived(config, losses):
        begun_s = time.perf_counter()
        chunk = make_chunk(config, seed, len(losses))
        made_s = time.perf_counter()
        losses += trainer.train(chunk).tolist()
        trained_s = time.perf_counter()
        n_steps = len(chunk.learning_rates)
        calls[n_steps] += 1
        row = (n_steps, trained_s - made_s, made_s - begun_s, trained_s - started_s, calls[n_steps] <= WARMUP_CALLS)
        for name, value in zip(chunks, row, strict=True):
            chunks[name].append(value)
        if not np.isfinite(losses[-n_steps:]).all():
            step = next(step for step, loss in enumerate(losses, 1) if not np.isfinite(loss))
            record.update(status="diverged", reason=f"the loss is {losses[step - 1]} at step {step}")
            del losses[step - 1 :]
            break
        if trained_s - reported_s > PROGRESS_INTERVAL_S:
            rate = n_steps * config.train.batch / (trained_s - begun_s)
            write_message(stream, "progress", {"step": len(losses), "loss": losses[-1], "sequences_per_s": rate})
            reported_s = trained_s
    record.update(losses=losses, chunks=chunks)
    record["timeline"].update(_training_times(chunks))


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
    return bool(losses) and len(losses) % epoch == 0 and np.mean(losses[-epoch:]) <= config.train.stop_at_loss


def _training_times(chunks: dict[str, list[Any]]) -> dict[str, float | None]:
    """first_step_s is the first call less its other steps at the steady pace; warm-up is what compilation and the
    first calls cost beyond that pace. Where no call is steady, the two cannot be told apart and are None."""
    steps, train_s, warmup = np.array(chunks["steps"]), np.array(chunks["train_s"]), np.array(chunks["warmup"])
    data_s = float(np.sum(chunks["data_s"]))
    if warmup.all():
        return {"first_step_s": float(train_s[0]), "steady_s": float(train_s[1:].sum()), "data_s": data_s}
    pace_s = np.median(np.repeat(train_s[~warmup] / steps[~warmup], steps[~warmup]))
    first_step_s = max(float(train_s[0] - (steps[0] - 1) * pace_s), float(pace_s))
    return {"first_step_s": first_step_s, "steady_s": float(train_s.sum() - first_step_s), "data_s": data_s}


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
    probabilities = np.concatenate([trainer.predict(batch.inputs) for batch in batches])
    targets = np.concatenate([batch.targets for batch in batches])
    return {
        "sequences": len(targets),
        "seed_loss": metrics.seed_loss(probabilities, targets),
        "seed_loss_floor": metrics.seed_loss_floor(targets),
        "cross_entropy_floor": metrics.cross_entropy_floor(targets),
        "mean_absolute_error": metrics.mean_absolute_error(probabilities, targets),
    }


def _evaluate_length(trainer: Trainer, config: RunConfig, length: int) -> dict[str, Any]:
    batch = _evaluation_batch(config, length)
    return {"length": length, **metrics.copy_measures(_predict(trainer, config, batch), batch.targets, batch.mask)}


def _draw_copy(trainer: Trainer, config: RunConfig, length: int) -> dict[str, Any]:
    """The first sequence of the length's evaluation batch: picked by its place, not by its looks."""
    batch = _evaluation_batch(config, length)
    size = min(config.evaluate.test_batch, config.evaluate.sequences)
    prediction = trainer.predict(batch.inputs[:size])[0]
    return {
        "length": length,
        "target": _rounded(batch.targets[0]),
        "prediction": _rounded(prediction),
    }


def _evaluation_batch(config: RunConfig, length: int) -> CopyBatch:
    evaluate = config.evaluate
    return config.task.evaluation_batch(seed=evaluate.seed, length=length, size=evaluate.sequences)


def _predict(trainer: Trainer, config: RunConfig, batch: CopyBatch) -> Array:
    """Predictions in pieces of test_batch sequences, so that long sequences need no more memory than training."""
    size = config.evaluate.test_batch
    pieces = [batch.inputs[start : start + size] for start in range(0, len(batch.inputs), size)]
    return np.concatenate([trainer.predict(piece) for piece in pieces])


def _rounded(array: Array) -> list[list[float]]:
    rounded: list[list[float]] = np.round(array.astype(np.float64), 4).tolist()
    return rounded
