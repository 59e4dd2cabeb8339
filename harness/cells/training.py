"""Train one cell and evaluate it, with a clock on every part."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from backends.contract import Group, Implementation, Parameters, Trainer
from harness.cells.chunks import Chunks
from harness.cells.evaluation import Validation, evaluate
from harness.cells.group import ARRIVED, MET, TRAINED, read_group, tell_phase, time_exchanges
from harness.cells.history import History
from harness.cells.other_processes import OtherProcesses
from harness.machine.affinity import read_affinity
from harness.proof.trainers import build_trainer
from harness.records.messages import write_message
from harness.records.stages import PROCESS_STAGES
from harness.task.recipe import RunConfig

PROGRESS_INTERVAL_S = 0.5


def train_cell(
    implementation: Implementation, request: dict[str, Any], record: dict[str, Any], stream: BinaryIO
) -> Parameters:
    """Fill `record` with what happened and return the final parameters.

    A request with a "checkpoint" goes on from it: its history, and in "arrays" the trainer's state.
    """
    config, earlier = RunConfig.from_dict(request["configuration"]), request.get("checkpoint")
    begun_s = time.perf_counter()
    group = read_group(request)
    if group is not None:
        tell_phase(stream, ARRIVED)
    trainer = build_trainer(
        implementation,
        config.model_spec(),
        config.optimizer,
        config.initial_parameters(request["seed"]),
        group,
        device=request["device"],
        precision=request["precision"],
    )
    if group is not None:
        tell_phase(stream, MET)
    if earlier:
        trainer.restore(request["arrays"])
    record["timeline"]["build_s"] = time.perf_counter() - begun_s
    if earlier:
        for stage in PROCESS_STAGES:
            record["timeline"][stage] += earlier["timeline"][stage]
    record["cpus_asked"], record["settings"] = request["cpus"], {**trainer.settings(), "cpus": read_affinity()}
    record["device"] = record["settings"]["device"]
    record["n_parameters"] = sum(array.size for array in trainer.parameters().values())
    others = OtherProcesses()
    history = History(earlier and earlier["history"])
    timeline = {stage: record["timeline"][stage] for stage in PROCESS_STAGES}
    # All ranks have the same state, so that the first's is enough.
    every_s = config.train.checkpoint_every_s if group is None or group.rank == 0 else 0.0
    checkpoints = Checkpoints(stream, every_s, timeline, lambda: total_s(request))
    train_steps(trainer, config, request["seed"], record, stream, history, checkpoints, group)
    record["other_cpu_share"] = others.share()
    # Libraries start their threads with the first step, and may pin them themselves.
    record["settings"]["cpus"] = read_affinity()
    if record["status"] == "ok":
        if group is not None:
            record["ranks"], record["exchanges_s"] = group.size, time_exchanges(trainer)
        tell_phase(stream, TRAINED)
        begun_s = time.perf_counter()
        try:
            record["evaluation"] = evaluate(trainer, config)
        except FloatingPointError as error:
            record.update(status="diverged", reason=f"{error} after step {len(history.losses)}")
        record["timeline"]["evaluation_s"] = time.perf_counter() - begun_s
    record["peak_memory_bytes"] = trainer.peak_memory_bytes()
    return trainer.parameters()


def total_s(request: Mapping[str, Any]) -> float:
    """Seconds since the cell's process was started, with those of earlier processes up to their last checkpoint."""
    earlier = request.get("checkpoint")
    earlier_s = float(earlier["timeline"]["total_s"]) if earlier else 0.0
    return time.monotonic() - float(request["spawned_at"]) + earlier_s


def train_steps(
    trainer: Trainer,
    config: RunConfig,
    seed: int,
    record: dict[str, Any],
    stream: BinaryIO,
    history: History | None = None,
    checkpoints: Checkpoints | None = None,
    group: Group | None = None,
) -> None:
    """Take the configured steps, chunk by chunk; stop early at the target, if so configured, or where a loss or a
    prediction is not finite."""
    history = history or History()
    progress, validation = Progress(stream, config.train.batch), None
    with Chunks(config, seed, len(history.losses), group) as chunks:
        while not _is_done(config, history):
            begun_s = time.perf_counter()
            chunk, cpu_s = chunks.take()
            taken_s = time.perf_counter()
            losses = trainer.train(chunk)
            trained_s = time.perf_counter()
            if losses.shape != chunk.learning_rates.shape:
                raise ValueError(f"losses of shape {losses.shape} for {len(chunk.learning_rates)} steps")
            time_steps = chunk.inputs.shape[2]
            times = {"data_s": taken_s - begun_s, "train_s": trained_s - taken_s}
            history.append(losses.tolist(), time_steps=time_steps, **times)
            history.data_cpu_s += cpu_s
            if not np.isfinite(losses).all():
                record.update(status="diverged", reason=history.drop_divergence())
                break
            progress.report(history)
            if _is_evaluation_due(config, history):
                validation = validation or Validation(config)
                try:
                    validate(trainer, validation, config, history)
                except FloatingPointError as error:
                    record.update(status="diverged", reason=f"{error} after step {len(history.losses)}")
                    break
            if checkpoints:
                checkpoints.keep(trainer, history)
    names = ("losses", "chunks", "evaluations", "target_reached", "resumed_at_steps", "data_cpu_s")
    record.update({name: getattr(history, name) for name in names})
    record["timeline"].update(history.times())


def validate(trainer: Trainer, validation: Validation, config: RunConfig, history: History) -> None:
    """Evaluate after the last step, between two chunks; the clock of the history goes on."""
    begun_s = time.perf_counter()
    measured = validation.measure(trainer)
    history.pause("validation", time.perf_counter() - begun_s)
    step = len(history.losses)
    at = {"step": step, "sequences": step * config.train.batch, "elapsed_s": history.elapsed_s()}
    history.evaluations.append({**at, **measured})
    if history.target_reached is None and config.target.is_met_by(measured):
        history.target_reached = history.evaluations[-1]


class Checkpoints:
    """Sends the parent all that a later process needs to go on, once in every_s seconds; never where that is 0 or where
    the trainer, one from outside this repository, cannot tell its state."""

    def __init__(
        self, stream: BinaryIO, every_s: float, timeline: Mapping[str, float], total_s: Callable[[], float]
    ) -> None:
        self.stream, self.every_s, self.timeline, self.total_s = stream, every_s, timeline, total_s
        self.kept_s = time.perf_counter()

    def keep(self, trainer: Trainer, history: History) -> None:
        begun_s = time.perf_counter()
        read_state = getattr(trainer, "state", None)
        if read_state is None or not self.every_s or begun_s - self.kept_s < self.every_s:
            return
        timeline = {**self.timeline, "total_s": self.total_s()}
        write_message(self.stream, "checkpoint", {"history": history.to_dict(), "timeline": timeline}, read_state())
        self.kept_s = time.perf_counter()
        history.pause("checkpoint", self.kept_s - begun_s)


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


def _is_done(config: RunConfig, history: History) -> bool:
    has_met_target = config.train.stop_at_target and history.target_reached is not None
    return len(history.losses) >= config.train.steps or has_met_target


def _is_evaluation_due(config: RunConfig, history: History) -> bool:
    """Every so many steps, and after the last."""
    every, step = config.train.evaluate_every, len(history.losses)
    return bool(every) and (step % every == 0 or _is_done(config, history))
