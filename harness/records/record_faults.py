"""A record against the schema, itself and its configuration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from harness.records.evaluation_faults import evaluation_faults
from harness.records.fault import Fault, agree
from harness.records.shape import Measured, Provenance, shape_fault
from harness.records.stages import STAGES, TOTAL
from harness.records.timeline import WARMUP_CALLS, training_stages
from harness.task.recipe import RunConfig, product_shapes

LATER_COLUMNS = ("time_steps", "pause_s", "first")
REQUIRED = ("timeline", "settings", "device", "n_parameters", "losses", "chunks", "evaluation")
# A cell is not ok without what it is, what it was made with and what it learned; of the rest, some may be left out.
NEEDED = (
    *("device", "n_parameters", "ranks", "provenance"),
    *("losses", "evaluation", "evaluations", "target_reached"),
)


def record_faults(record: Mapping[str, Any], config: RunConfig) -> list[Fault]:
    """What is wrong with what a worker measured. A fault of its types hides those of its content."""
    fault = shape_fault(record, Measured)
    if fault:
        return [fault]
    if record["status"] == "ok":
        left_out = record.get("faulty", {}).keys() - NEEDED
        missing = [name for name in REQUIRED if record.get(name) is None and name not in left_out]
        if missing:
            return [Fault(name, "it is missing") for name in missing]
        return [*_complete_faults(record, config)]
    return [*_incomplete_faults(record)]


def provenance_faults(provenance: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with what a cell says it was made with."""
    fault = shape_fault(provenance, Provenance)
    if fault:
        return [Fault(f"provenance.{fault.field}", fault.text)]
    return [] if provenance["code"] else [Fault("provenance.code", "it names no source")]


def _incomplete_faults(record: Mapping[str, Any]) -> Iterator[Fault]:
    if not record.get("reason"):
        yield Fault("reason", f"it is empty, though the status is {record['status']}")
    if record.get("chunks") is not None:
        yield from _column_faults(record["chunks"])


def _complete_faults(record: Mapping[str, Any], config: RunConfig) -> Iterator[Fault]:
    """What is there is held against the configuration and against what else is there."""
    if record.get("reason") is not None:
        yield Fault("reason", "a cell that is ok has none")
    n_parameters = sum(math.prod(shape) for shape in config.model_spec().shapes().values())
    if record["n_parameters"] != n_parameters:
        yield Fault("n_parameters", f"it is {record['n_parameters']}, but the configured model has {n_parameters}")
    placed = (record.get("settings") or {"device": record["device"]}).get("device")
    if placed != record["device"]:
        yield Fault("settings.device", f"it is {placed!r}, not {record['device']!r}")
    loss_faults = [*_loss_faults(record["losses"], record.get("target_reached"), config)]
    yield from loss_faults
    yield from _target_faults(record, config)
    if not loss_faults:
        yield from _time_faults(record, config)
    yield from evaluation_faults(record["evaluation"], config)
    yield from _ceiling_faults(record.get("ceiling") or [], config)


def _loss_faults(losses: list[float], reached: Mapping[str, Any] | None, config: RunConfig) -> Iterator[Fault]:
    """As many as configured, or fewer where training was to stop at the target and met it."""
    train = config.train
    met_target = train.stop_at_target and (reached or {}).get("step") == len(losses)
    if not losses or len(losses) > train.steps or (len(losses) < train.steps and not met_target):
        yield Fault("losses", f"there are {len(losses)}, not {train.steps}")


def _time_faults(record: Mapping[str, Any], config: RunConfig) -> Iterator[Fault]:
    chunks, faults = record.get("chunks"), []
    if chunks is not None:
        faults = [*_column_faults(chunks)] or [*_chunk_faults(chunks, record["losses"], config)]
    yield from faults
    if record.get("timeline") is not None:
        yield from _timeline_faults(record["timeline"], None if faults else chunks)


def _column_faults(chunks: Mapping[str, list[Any]]) -> Iterator[Fault]:
    n_rows = len(chunks["steps"])
    for name in ("train_s", "data_s", "elapsed_s", "warmup", *(name for name in LATER_COLUMNS if name in chunks)):
        if len(chunks[name]) != n_rows:
            yield Fault(f"chunks.{name}", f"its length is {len(chunks[name])}, but that of chunks.steps is {n_rows}")


def _chunk_faults(chunks: Mapping[str, list[Any]], losses: list[float], config: RunConfig) -> Iterator[Fault]:
    if sum(chunks["steps"]) != len(losses):
        yield Fault("chunks.steps", f"they add up to {sum(chunks['steps'])}, but the number of losses is {len(losses)}")
    if max(chunks["steps"], default=0) > config.train.chunk:
        yield Fault("chunks.steps", f"one is larger than the configured {config.train.chunk}")
    chunks = with_later_columns(chunks)
    calls: Counter[tuple[int, int]] = Counter()
    elapsed_s = 0.0
    columns = ("steps", "time_steps", "train_s", "data_s", "pause_s", "elapsed_s", "warmup")
    rows = zip(*(chunks[name] for name in columns), strict=True)
    for number, (*shape, train_s, data_s, pause_s, until_s, warmup) in enumerate(rows):
        call = calls[(shape[0], shape[1])] = calls[(shape[0], shape[1])] + 1
        if call <= WARMUP_CALLS and not warmup:
            yield Fault(f"chunks.warmup[{number}]", f"it is false, but this is call {call} of its shape")
        if until_s + 1e-6 < elapsed_s + pause_s + train_s + data_s:
            yield Fault(f"chunks.elapsed_s[{number}]", "it is less than the chunk before and its own parts add up to")
        elapsed_s = until_s


def _timeline_faults(timeline: Mapping[str, float], chunks: Mapping[str, list[Any]] | None) -> Iterator[Fault]:
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
    for stage, value in training_stages(with_later_columns(chunks), {}).items():
        if not agree(value, timeline[stage]):
            yield Fault(f"timeline.{stage}", f"it is {timeline[stage]}, but the chunks give {value}")


def with_later_columns(chunks: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The chunks of an older record with the columns that were added since: one number of time steps, no pauses, one
    process."""
    n_rows = len(chunks["steps"])
    same: dict[str, list[Any]] = {"time_steps": [1] * n_rows, "pause_s": [0.0] * n_rows}
    return same | {"first": [place == 0 for place in range(n_rows)]} | dict(chunks)


def _target_faults(record: Mapping[str, Any], config: RunConfig) -> Iterator[Fault]:
    """What is said to have met the target is the first evaluation that does."""
    evaluations = record.get("evaluations") or []
    first = next((item for item in evaluations if config.target.is_met_by(item)), None)
    if record.get("target_reached") != first:
        yield Fault("target_reached", "it is not the first evaluation that meets the target")
    if any(later["step"] <= earlier["step"] for earlier, later in pairwise(evaluations)):
        yield Fault("evaluations", "their steps do not rise")


def _ceiling_faults(samples: list[Mapping[str, Any]], config: RunConfig) -> Iterator[Fault]:
    """Until version 2 a record had the two products of the forward pass."""
    shapes = product_shapes(config)[:2]
    measured = [(sample["m"], sample["k"], sample["n"]) for sample in samples]
    if measured and measured != shapes:
        yield Fault("ceiling", f"its products are {measured}, not {shapes}")
