"""Numbers of one cell, computed from its raw record; None where the record does not reach that far."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from harness.analysis.stats import Interval, clustered_proportion_interval
from harness.records.stages import STARTUP_STAGES
from harness.records.structs import Cell, Chunks, LengthMeasures, Run
from harness.task import metrics
from harness.task.copy_task import CopyTask

FINAL_STEPS = 100
# Of the machine's processors: where others used more, speeds are theirs too.
BUSY_SHARE = 0.05
# Of the bits of the trained lengths: where a recipe has no target, a network with more of them wrong has not learned.
LEARNED_BIT_ERROR = 0.01


def losses(cell: Cell) -> NDArray[np.float64]:
    """The training loss of every step in nats (steps,); not a number where none was recorded."""
    return np.array([] if cell.losses is None else cell.losses, np.float64)


def train_loss(cell: Cell) -> float | None:
    """The mean of the last 100 training losses (all, where there are fewer), nats."""
    final = losses(cell)[-FINAL_STEPS:]
    return float(final.mean()) if final.size else None


def elapsed_s(cell: Cell) -> NDArray[np.float64]:
    """Seconds since training began at the end of each step (steps,), linear inside a chunk."""
    n_steps = losses(cell).size
    if cell.chunks is None or sum(cell.chunks.steps) < n_steps:
        return np.full(n_steps, np.nan)
    ends = np.concatenate([[0], np.cumsum(cell.chunks.steps)])
    return np.interp(np.arange(1, n_steps + 1), ends, [0.0, *cell.chunks.elapsed_s])


def step_ms(cell: Cell) -> NDArray[np.float64]:
    """Milliseconds of every steady step: a chunk's mean, repeated for each of its steps; warm-up left out.

    Where sequences are of several numbers of time steps, each step is taken relative to the median of its own number,
    times the mean over all steps of those medians: the step that this training takes on average.
    """
    return np.array([], np.float64) if cell.chunks is None else _steady_ms(cell, cell.chunks, cell.chunks.train_s)


def _steady_ms(cell: Cell, chunks: Chunks, seconds: list[float]) -> NDArray[np.float64]:
    steady = ~np.array(chunks.warmup, np.bool_)
    steps = np.array(chunks.steps, np.int64)[steady]
    samples = np.repeat(1000 * np.array(seconds, np.float64)[steady] / steps, steps)
    time_steps = steady_time_steps(cell)
    medians = np.zeros_like(samples)
    for number in set(time_steps.tolist()):
        medians[time_steps == number] = np.median(samples[time_steps == number])
    if len(set(time_steps.tolist())) <= 1:
        return samples
    # A coarse clock may count no CPU time at all.
    relative = np.divide(samples, medians, out=np.ones_like(samples), where=medians > 0)
    return relative * float(medians.mean())


def steady_time_steps(cell: Cell) -> NDArray[np.int64]:
    """The number of time steps of every steady step; zeros where the record, an older one, does not tell."""
    if cell.chunks is None:
        return np.array([], np.int64)
    steady = ~np.array(cell.chunks.warmup, np.bool_)
    time_steps = np.array(cell.chunks.time_steps or [0] * len(steady), np.int64)
    return np.repeat(time_steps[steady], np.array(cell.chunks.steps, np.int64)[steady])


def sequences_per_s(cell: Cell, batch: int) -> float | None:
    """Training sequences a second at the median steady step."""
    samples = step_ms(cell)
    return float(1000 * batch / np.median(samples)) if samples.size else None


def median_step_ms(cell: Cell) -> float | None:
    samples = step_ms(cell)
    return float(np.median(samples)) if samples.size else None


def median_cpu_ms(cell: Cell) -> float | None:
    """CPU milliseconds, all threads of the process, of the median steady step, steps taken as step_ms takes them; None
    where the record, an older one, does not tell."""
    if cell.chunks is None or not cell.chunks.cpu_s:
        return None
    samples = _steady_ms(cell, cell.chunks, cell.chunks.cpu_s)
    return float(np.median(samples)) if samples.size else None


def inference_sequences_per_s(cell: Cell) -> float | None:
    """Sequences a second that the trained network predicts, at the median call with many; None where none was timed."""
    known = cell.inference
    return known.batch / float(np.median(known.batch_s)) if known and known.batch_s else None


def latency_ms(cell: Cell, percentile: float) -> float | None:
    """The percentile of the milliseconds of a call with one sequence; None where none was timed."""
    known = cell.inference
    return 1000 * float(np.percentile(known.single_s, percentile)) if known and known.single_s else None


def steady_calls(cell: Cell) -> int:
    """How many calls the steady steps were made in; the steps of one call share its time."""
    return 0 if cell.chunks is None else cell.chunks.warmup.count(False)


def overhead_share(cell: Cell) -> float | None:
    """The share of the steady chunks' elapsed time outside training calls: waiting for data, timing, recording. What
    was evaluated or kept between chunks is no part of it."""
    if not cell.chunks or not steady_calls(cell):
        return None
    steady = ~np.array(cell.chunks.warmup, np.bool_)
    pause_s = np.array(cell.chunks.pause_s or [0.0] * len(steady), np.float64)
    elapsed = (np.diff([0.0, *cell.chunks.elapsed_s]) - pause_s)[steady].sum()
    train = np.array(cell.chunks.train_s, np.float64)[steady].sum()
    return float((elapsed - train) / elapsed) if elapsed > 0 else None


def gflop_per_s(cell: Cell, batch: int, task: CopyTask) -> float | None:
    """1e9 floating-point operations a second at the median steady step, by the count of training_step_operations."""
    step = median_step_ms(cell)
    if step is None or cell.n_parameters is None:
        return None
    known = steady_time_steps(cell)
    time_steps = float(known.mean()) if known.any() else CopyTask.time_steps(task.max_length)
    return metrics.training_step_operations(cell.n_parameters, batch, time_steps) / (step / 1000) / 1e9


def exchange_share(cell: Cell) -> float | None:
    """The median time of an exchange of all gradients by itself over that of a step, 0..1; None of a single process.

    What a framework exchanges while it still computes is hidden behind that, so this is the most it can be.
    """
    step = median_step_ms(cell)
    return 1000 * float(np.median(cell.exchanges_s)) / step if cell.exchanges_s and step else None


def busy_share(cells: Iterable[Cell]) -> float | None:
    """The most of the machine's processors that other processes used while one of the cells trained, 0..1, where that
    was too much to hold their speeds against each other; otherwise None."""
    most = max((cell.other_cpu_share or 0.0 for cell in cells), default=0.0)
    return most if most > BUSY_SHARE else None


def startup_s(cell: Cell) -> float | None:
    """Seconds from starting the process to the end of its first step, waiting for data left out."""
    stages = [(cell.timeline or {}).get(stage) for stage in STARTUP_STAGES]
    known = [stage for stage in stages if stage is not None]
    return sum(known) if len(known) == len(stages) else None


def original_loss(cell: Cell) -> float | None:
    return cell.evaluation.test.original_loss if cell.evaluation else None


def original_loss_floor(cell: Cell) -> float | None:
    return cell.evaluation.test.original_loss_floor if cell.evaluation else None


def original_loss_excess(cell: Cell) -> float | None:
    """How far the original's loss lies above the least it can be, nats."""
    return excess(original_loss(cell), original_loss_floor(cell))


def excess(loss: float | None, floor: float | None) -> float | None:
    return None if loss is None or floor is None else loss - floor


def mean_absolute_error(cell: Cell) -> float | None:
    return cell.evaluation.test.mean_absolute_error if cell.evaluation else None


def train_loss_floor(run: Run) -> float | None:
    """The least that the training loss can be, nats; None where training batches are drawn otherwise than the test set,
    whose floor is the one that is known."""
    if not run.task.trains_as_it_tests:
        return None
    return median(cell.evaluation.test.cross_entropy_floor for cell in run.ok_cells if cell.evaluation)


def bit_error(cell: Cell, task: CopyTask) -> float | None:
    """Wrong bits over all bits of the trained lengths, 0..1."""
    trained = _trained(cell, task)
    n_bits = sum(item.sequences * item.length * task.bits for item in trained)
    return sum(item.wrong_bits for item in trained) / n_bits if n_bits else None


def has_learned(cell: Cell, run: Run) -> bool | None:
    """Whether the network met the run's target, on validation data or in the end on the test set; where the run has no
    target, whether at most LEARNED_BIT_ERROR of its bits are wrong. None where it was not evaluated."""
    error = bit_error(cell, run.task)
    if error is None or cell.evaluation is None:
        return None
    if not run.target.exists:
        return error <= LEARNED_BIT_ERROR
    return cell.target_reached is not None or run.target.is_met_by(cell.evaluation.test)


def bits_per_sequence(cell: Cell, task: CopyTask) -> float | None:
    """The paper's measure over the sequences of the trained lengths, bits."""
    trained = _trained(cell, task)
    n_sequences = sum(item.sequences for item in trained)
    return sum(item.bits_per_sequence * item.sequences for item in trained) / n_sequences if n_sequences else None


def wrong_bits_per_sequence(cell: Cell) -> float | None:
    """Wrong bits of a sequence of the test set, mean over its mixed lengths."""
    return cell.evaluation.test.wrong_bits_per_sequence if cell.evaluation else None


def bit_error_interval(item: LengthMeasures, task: CopyTask) -> Interval | None:
    """The bit error of a length with its interval over sequences, 0..1; None in older records."""
    counts = item.wrong_bits_by_sequence
    if counts is None:
        return None
    return clustered_proportion_interval(counts, item.length * task.bits, item.sequences)


def is_trained(length: int, task: CopyTask) -> bool:
    return task.min_length <= length <= task.max_length


def median(values: Iterable[float | None]) -> float | None:
    """The median of what is known; None where nothing is."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.median(known)) if known else None


def all_verified(flags: Iterable[bool | None]) -> bool | None:
    """False if any is false, true if all are true, otherwise unknown."""
    known = list(flags)
    if False in known:
        return False
    return True if known and all(known) else None


def _trained(cell: Cell, task: CopyTask) -> list[LengthMeasures]:
    measured = cell.evaluation.lengths if cell.evaluation else []
    return [item for item in measured if is_trained(item.length, task)]
