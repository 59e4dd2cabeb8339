"""What is wrong with a cell's record: against its types, itself and its configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from harness.records.evaluation_faults import evaluation_faults
from harness.records.fault import Fault, agree, shape_fault
from harness.records.stages import STAGES, TOTAL
from harness.records.structs import Chunks, Inference, Measured
from harness.records.timeline import WARMUP_CALLS, training_stages
from harness.task.recipe import SINGLE_CALLS, RunConfig

REQUIRED = ("timeline", "settings", "device", "n_parameters", "losses", "chunks", "evaluation")
# A cell is not ok without what it is, what it was made with and what it learned; of the rest, some may be left out.
NEEDED = ("device", "n_parameters", "ranks", "provenance", "losses", "evaluation", "evaluations", "target_reached")


def record_faults(content: Mapping[str, Any], config: RunConfig) -> list[Fault]:
    """What is wrong with what a worker measured, as JSON has it. A fault of its types hides those of its content."""
    fault = shape_fault(content, Measured)
    if fault:
        return [fault]
    record = msgspec.convert(content, Measured)
    if record.status != "ok":
        return [*_incomplete_faults(record)]
    left_out = record.faulty.keys() - NEEDED
    missing = [name for name in REQUIRED if getattr(record, name) is None and name not in left_out]
    return [Fault(name, "it is missing") for name in missing] or [*_complete_faults(record, config)]


def _incomplete_faults(record: Measured) -> Iterator[Fault]:
    if not record.reason:
        yield Fault("reason", f"it is empty, though the status is {record.status}")
    if record.chunks is not None:
        yield from column_faults(record.chunks)


def _complete_faults(record: Measured, config: RunConfig) -> Iterator[Fault]:
    """What is there is held against the configuration and against what else is there."""
    if record.reason is not None:
        yield Fault("reason", "a cell that is ok has none")
    n_parameters = config.model_spec().n_parameters()
    if record.n_parameters != n_parameters:
        yield Fault("n_parameters", f"it is {record.n_parameters}, but the configured model has {n_parameters}")
    placed = (record.settings or {"device": record.device}).get("device")
    if placed != record.device:
        yield Fault("settings.device", f"it is {placed!r}, not {record.device!r}")
    loss_faults = [*_loss_faults(record, config)]
    yield from loss_faults
    yield from _target_faults(record, config)
    if not loss_faults:
        yield from _time_faults(record, config)
    if record.evaluation is not None:
        yield from evaluation_faults(record.evaluation, config)
    if record.inference is not None:
        yield from _inference_faults(record.inference, record.timeline or {}, config)
    elif config.inference.rounds and record.ranks == 1 and "inference" not in record.faulty:
        yield Fault("inference", "it is missing")


def _loss_faults(record: Measured, config: RunConfig) -> Iterator[Fault]:
    """As many as configured, or fewer where training was to stop at the target and met it."""
    n_losses, train = len(record.losses or []), config.train
    met_target = train.stop_at_target and record.target_reached and record.target_reached.step == n_losses
    if not n_losses or n_losses > train.steps or (n_losses < train.steps and not met_target):
        yield Fault("losses", f"there are {n_losses}, not {train.steps}")


def _time_faults(record: Measured, config: RunConfig) -> Iterator[Fault]:
    chunks, faults = record.chunks, list[Fault]()
    if chunks is not None:
        faults = [*column_faults(chunks)] or [*_chunk_faults(chunks, len(record.losses or []), config)]
    yield from faults
    if record.timeline is not None:
        yield from _timeline_faults(record.timeline, None if faults else chunks)


def column_faults(chunks: Chunks) -> Iterator[Fault]:
    """Columns of different lengths, which no row can be read from."""
    n_rows = len(chunks.steps)
    for name in Chunks.__struct_fields__:
        is_older = name == "cpu_s" and not chunks.cpu_s
        if len(getattr(chunks, name)) != n_rows and not is_older:
            yield Fault(f"chunks.{name}", f"its length is {len(getattr(chunks, name))}, but that of steps is {n_rows}")


def _chunk_faults(chunks: Chunks, n_losses: int, config: RunConfig) -> Iterator[Fault]:
    if sum(chunks.steps) != n_losses:
        yield Fault("chunks.steps", f"they add up to {sum(chunks.steps)}, but the number of losses is {n_losses}")
    if max(chunks.steps, default=0) > config.train.chunk:
        yield Fault("chunks.steps", f"one is larger than the configured {config.train.chunk}")
    calls: Counter[tuple[int, int]] = Counter()
    elapsed_s = 0.0
    shapes = zip(chunks.steps, chunks.time_steps, strict=True)
    parts = zip(chunks.train_s, chunks.data_s, chunks.pause_s, strict=True)
    rows = zip(shapes, parts, chunks.elapsed_s, chunks.warmup, strict=True)
    for number, (shape, parts_s, until_s, warmup) in enumerate(rows):
        calls[shape] += 1
        if calls[shape] <= WARMUP_CALLS and not warmup:
            yield Fault(f"chunks.warmup[{number}]", f"it is false, but this is call {calls[shape]} of its shape")
        if until_s + 1e-6 < elapsed_s + sum(parts_s):
            yield Fault(f"chunks.elapsed_s[{number}]", "it is less than the chunk before and its own parts add up to")
        elapsed_s = until_s


def _timeline_faults(timeline: Mapping[str, float], chunks: Chunks | None) -> Iterator[Fault]:
    """Every stage is there; they add up to the total; those of training are what the chunks give, if they are known."""
    for stage in (*(stage.name for stage in STAGES if stage.is_always_there), TOTAL):
        if stage not in timeline:
            yield Fault(f"timeline.{stage}", "it is missing")
            return
    if min(timeline.values()) < -1e-3:
        yield Fault(f"timeline.{min(timeline, key=lambda stage: timeline[stage])}", "it is negative")
    total_s = sum(value for stage, value in timeline.items() if stage != TOTAL)
    if not agree(total_s, timeline[TOTAL]):
        yield Fault(f"timeline.{TOTAL}", f"it is {timeline[TOTAL]}, but the stages add up to {total_s}")
    if chunks is None:
        return
    for stage, value in training_stages(chunks, {}).items():
        if not agree(value, timeline[stage]):
            yield Fault(f"timeline.{stage}", f"it is {timeline[stage]}, but the chunks give {value}")


def _target_faults(record: Measured, config: RunConfig) -> Iterator[Fault]:
    """What is said to have met the target is the first evaluation that does."""
    first = next((each for each in record.evaluations if config.target.is_met_by(each)), None)
    if record.target_reached != first:
        yield Fault("target_reached", "it is not the first evaluation that meets the target")
    if any(later.step <= earlier.step for earlier, later in pairwise(record.evaluations)):
        yield Fault("evaluations", "their steps do not rise")


def _inference_faults(inference: Inference, timeline: Mapping[str, float], config: RunConfig) -> Iterator[Fault]:
    """As many calls, of such shapes, as configured; they took no longer than their stage."""
    rounds = config.inference.rounds
    expected = {"length": config.task.max_length, "batch": config.inference.batch}
    for name, value in expected.items():
        if getattr(inference, name) != value:
            yield Fault(f"inference.{name}", f"it is {getattr(inference, name)}, not {value}")
    for name, n_calls in {"batch_s": rounds, "single_s": rounds * SINGLE_CALLS}.items():
        if len(getattr(inference, name)) != n_calls:
            yield Fault(f"inference.{name}", f"there are {len(getattr(inference, name))}, not {n_calls}")
    calls_s = sum(inference.batch_s) + sum(inference.single_s) + inference.warmup_s
    stage_s = timeline.get("inference_s", 0.0)
    if calls_s > stage_s + 1e-6:
        yield Fault("timeline.inference_s", f"it is {stage_s}, but the calls took {calls_s}")
