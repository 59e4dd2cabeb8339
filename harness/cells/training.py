"""Train one cell and evaluate it, with a clock on every part."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import BinaryIO

import numpy as np

from backends.contract import Array, Group, Implementation, Parameters, Trainer
from harness.cells.chunks import Chunks
from harness.cells.context import Context
from harness.cells.evaluation import Validation, evaluate
from harness.cells.group import CONNECTED, STARTED, TRAINED, tell_phase, time_exchanges
from harness.cells.history import History
from harness.cells.inference import time_inference
from harness.cells.other_processes import OtherProcesses
from harness.cells.placement import Placement
from harness.cells.requests import Train
from harness.machine.affinity import read_affinity
from harness.machine.memory import ResidentMemory
from harness.proof.trainers import build_trainer
from harness.records.messages import Checkpoint, Progress, write_message
from harness.records.stages import PROCESS_STAGES, TOTAL
from harness.records.structs import Measured, Validated
from harness.task.recipe import RunConfig

PROGRESS_INTERVAL_S = 0.5


def train_cell(implementation: Implementation, job: Train, context: Context, record: Measured) -> Parameters:
    """Fill `record` with what happened and return the final parameters."""
    config, timeline = job.configuration, record.timeline or {}
    record.timeline = timeline
    memory, begun_s = ResidentMemory(), time.perf_counter()
    trainer = _build(implementation, job, context)
    timeline["build_s"] = time.perf_counter() - begun_s
    if job.checkpoint:
        for stage in PROCESS_STAGES:
            timeline[stage] += job.checkpoint.timeline[stage]
    settings = {**trainer.settings(), "cpus": read_affinity()}
    record.cpus_asked, record.settings = context.placement.cpus, settings
    record.device = str(settings["device"])
    record.n_parameters = sum(array.size for array in trainer.parameters().values())
    others, history = OtherProcesses(), History(job.checkpoint.history if job.checkpoint else None)
    stages = {stage: timeline[stage] for stage in PROCESS_STAGES}
    # All ranks have the same state, so that the first's is enough.
    every_s = config.train.checkpoint_every_s if job.group is None or job.group.rank == 0 else 0.0
    checkpoints = Checkpoints(context.stream, every_s, stages, lambda: total_s(job, context.placement))
    Training(trainer, config, job.seed, context.stream, job.group).run(record, history, checkpoints)
    record.other_cpu_share = others.share()
    # Libraries start their threads with the first step, and may pin them themselves.
    settings["cpus"] = read_affinity()
    if record.status == "ok":
        if job.group is not None:
            record.ranks, record.exchanges_s = job.group.size, time_exchanges(trainer)
        tell_phase(context.stream, TRAINED)
        _evaluate(trainer, config, record, timeline)
    record.peak_memory_bytes, record.process_memory_bytes = trainer.peak_memory_bytes(), memory.peak_bytes()
    if record.peak_memory_bytes is None and record.device == "cpu":
        record.peak_memory_bytes = memory.added_bytes()
    # After the memory was read, so that what is told of it is training's; ranks share what they would predict.
    if record.status == "ok" and job.group is None and config.inference.rounds:
        begun_s = time.perf_counter()
        record.inference = time_inference(trainer, config)
        timeline["inference_s"] = time.perf_counter() - begun_s
    return trainer.parameters()


def _evaluate(trainer: Trainer, config: RunConfig, record: Measured, timeline: dict[str, float]) -> None:
    """Measure the trained network; the record says so where a prediction is not finite."""
    begun_s = time.perf_counter()
    try:
        record.evaluation = evaluate(trainer, config)
    except FloatingPointError as error:
        record.status, record.reason = "diverged", f"{error} after step {len(record.losses or [])}"
    timeline["evaluation_s"] = time.perf_counter() - begun_s


def _build(implementation: Implementation, job: Train, context: Context) -> Trainer:
    """The trainer, with the others of its group where there is one, in the state of the checkpoint if there is one."""
    config = job.configuration
    if job.group is not None:
        tell_phase(context.stream, STARTED)
    trainer = build_trainer(
        implementation,
        config.model_spec(),
        config.optimizer,
        config.initial_parameters(job.seed),
        job.group,
        device=context.placement.device,
        precision=job.precision,
    )
    if job.group is not None:
        tell_phase(context.stream, CONNECTED)
    if job.checkpoint:
        trainer.restore(context.arrays)
    return trainer


def total_s(job: Train, placement: Placement) -> float:
    """Seconds since the cell's process was started, with those of earlier processes up to their last checkpoint."""
    earlier_s = job.checkpoint.timeline[TOTAL] if job.checkpoint else 0.0
    return time.monotonic() - placement.spawned_at_s + earlier_s


@dataclass(frozen=True)
class Training:
    """The training of one cell, or of a rank's share of it."""

    trainer: Trainer
    config: RunConfig
    seed: int
    stream: BinaryIO
    group: Group | None = None

    def run(self, record: Measured, history: History | None = None, checkpoints: Checkpoints | None = None) -> None:
        """Take the configured steps, chunk by chunk; stop early at the target, if so configured, or where a loss or a
        prediction is not finite. `record` gets what came of it."""
        history = history or History()
        progress, validation = ProgressTeller(self.stream, self.config.train.batch), Validation(self.config)
        with Chunks(self.config, self.seed, len(history.losses), self.group) as chunks:
            while not _is_done(self.config, history):
                if reason := self._take_chunk(chunks, history):
                    record.status, record.reason = "diverged", reason
                    break
                progress.report(history)
                if _is_evaluation_due(self.config, history):
                    try:
                        self._validate(validation, history)
                    except FloatingPointError as error:
                        record.status, record.reason = "diverged", f"{error} after step {len(history.losses)}"
                        break
                if checkpoints:
                    checkpoints.keep(self.trainer, history)
        for name in ("losses", "chunks", "evaluations", "target_reached", "resumed_at_steps", "data_cpu_s"):
            setattr(record, name, getattr(history, name))
        record.timeline = record.timeline or {}
        record.timeline.update(history.times())

    def _take_chunk(self, chunks: Chunks, history: History) -> str | None:
        """Train on the next chunk, with a clock on it; the reason where a loss is not finite."""
        begun_s = time.perf_counter()
        chunk, cpu_s = chunks.take()
        taken_s, taken_cpu_s = time.perf_counter(), time.process_time()
        losses = self.trainer.train(chunk)
        trained_s, trained_cpu_s = time.perf_counter(), time.process_time()
        if losses.shape != chunk.learning_rates.shape:
            raise ValueError(f"losses of shape {losses.shape} for {len(chunk.learning_rates)} steps")
        times = {"data_s": taken_s - begun_s, "train_s": trained_s - taken_s, "cpu_s": trained_cpu_s - taken_cpu_s}
        history.append(to_shortest(losses), time_steps=chunk.inputs.shape[2], **times)
        history.data_cpu_s += cpu_s
        return None if np.isfinite(losses).all() else history.drop_divergence()

    def _validate(self, validation: Validation, history: History) -> None:
        """Evaluate after the last step, between two chunks; the clock of the history goes on."""
        begun_s = time.perf_counter()
        measured = validation.measure(self.trainer)
        history.pause("validation", time.perf_counter() - begun_s)
        step = len(history.losses)
        validated = Validated(
            step=step,
            sequences=step * self.config.train.batch,
            elapsed_s=history.elapsed_s(),
            **asdict(measured),
        )
        history.evaluated(validated, self.config.target.is_met_by(validated))


class Checkpoints:
    """Sends the parent all that a later process needs to go on, once in every_s seconds; never where that is 0 or where
    the trainer, one from outside this repository, cannot tell its state."""

    def __init__(
        self, stream: BinaryIO, every_s: float, timeline: dict[str, float], total_s: Callable[[], float]
    ) -> None:
        self.stream, self.every_s, self.timeline, self.total_s = stream, every_s, timeline, total_s
        self.kept_s = time.perf_counter()

    def keep(self, trainer: Trainer, history: History) -> None:
        begun_s = time.perf_counter()
        read_state = getattr(trainer, "state", None)
        if read_state is None or not self.every_s or begun_s - self.kept_s < self.every_s:
            return
        timeline = {**self.timeline, TOTAL: self.total_s()}
        write_message(self.stream, Checkpoint(history.state(), timeline), read_state())
        self.kept_s = time.perf_counter()
        history.pause("checkpoint", self.kept_s - begun_s)


class ProgressTeller:
    """Tells the parent how far training is, seldom enough to cost nothing."""

    def __init__(self, stream: BinaryIO, batch: int) -> None:
        self.stream, self.batch, self.reported_s = stream, batch, 0.0

    def report(self, history: History) -> None:
        if time.perf_counter() - self.reported_s < PROGRESS_INTERVAL_S:
            return
        self.reported_s = time.perf_counter()
        rate = history.chunks.steps[-1] * self.batch / history.chunks.train_s[-1]
        write_message(self.stream, Progress(len(history.losses), history.losses[-1], rate))


def to_shortest(losses: Array) -> list[float]:
    """In as many digits as their type has: the shortest decimals that read back as the same numbers."""
    return [float(str(loss)) for loss in losses]


def _is_done(config: RunConfig, history: History) -> bool:
    has_met_target = config.train.stop_at_target and history.target_reached is not None
    return len(history.losses) >= config.train.steps or has_met_target


def _is_evaluation_due(config: RunConfig, history: History) -> bool:
    """Every so many steps, and after the last."""
    every, step = config.train.evaluate_every, len(history.losses)
    return bool(every) and (step % every == 0 or _is_done(config, history))
