"""A record against the schema, itself and its configuration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.ceiling import product_shapes
from harness.config import RunConfig
from harness.training import WARMUP_CALLS, History
from harness.validation.evaluation import evaluation_faults
from harness.validation.fault import Fault, agree
from harness.validation.shape import Measured, Provenance, shape_fault

REQUIRED = ("timeline", "settings", "device", "n_parameters", "losses", "chunks", "evaluation", "ceiling")
STAGES = (
    *("spawn_s", "import_s", "build_s", "first_step_s", "steady_s", "data_s"),
    *("evaluation_s", "ceiling_s", "other_s", "total_s"),
)


def record_faults(record: Mapping[str, Any], config: RunConfig) -> list[Fault]:
    """What is wrong with what a worker measured. A fault of its types hides those of its content."""
    fault = shape_fault(record, Measured)
    if fault:
        return [fault]
    if record["status"] == "ok":
        missing = [name for name in REQUIRED if record.get(name) is None]
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
    if record.get("reason") is not None:
        yield Fault("reason", "a cell that is ok has none")
    n_parameters = sum(math.prod(shape) for shape in config.model_spec().shapes().values())
    if record["n_parameters"] != n_parameters:
        yield Fault("n_parameters", f"it is {record['n_parameters']}, but the configured model has {n_parameters}")
    if record["settings"].get("device") != record["device"]:
        yield Fault("settings.device", f"it is {record['settings'].get('device')!r}, not {record['device']!r}")
    yield from _loss_faults(record["losses"], config)
    chunk_faults = [*_column_faults(record["chunks"])] or [*_chunk_faults(record["chunks"], record["losses"], config)]
    yield from chunk_faults
    if not chunk_faults:
        yield from _timeline_faults(record["timeline"], record["chunks"])
    yield from evaluation_faults(record["evaluation"], config)
    yield from _ceiling_faults(record["ceiling"], config)


def _loss_faults(losses: list[float], config: RunConfig) -> Iterator[Fault]:
    """As many as configured, or fewer where the loss to stop at was reached, and then at the end of an epoch."""
    train = config.train
    if len(losses) > train.steps or not losses:
        yield Fault("losses", f"there are {len(losses)}, not {train.steps}")
        return
    if len(losses) == train.steps:
        return
    arrived = len(losses) % train.epoch_steps == 0 and np.mean(losses[-train.epoch_steps :]) <= train.stop_at_loss
    if not arrived:
        yield Fault("losses", f"there are {len(losses)}, not {train.steps}, and the loss to stop at was not reached")


def _column_faults(chunks: Mapping[str, list[Any]]) -> Iterator[Fault]:
    n_rows = len(chunks["steps"])
    for name in ("train_s", "data_s", "elapsed_s", "warmup"):
        if len(chunks[name]) != n_rows:
            yield Fault(f"chunks.{name}", f"it has {len(chunks[name])} values, but there are {n_rows} chunks")


def _chunk_faults(chunks: Mapping[str, list[Any]], losses: list[float], config: RunConfig) -> Iterator[Fault]:
    if sum(chunks["steps"]) != len(losses):
        yield Fault("chunks.steps", f"they add up to {sum(chunks['steps'])}, but there are {len(losses)} losses")
    if max(chunks["steps"], default=0) > config.train.chunk:
        yield Fault("chunks.steps", f"one is larger than the configured {config.train.chunk}")
    calls: Counter[int] = Counter()
    elapsed_s = 0.0
    rows = zip(*(chunks[name] for name in ("steps", "train_s", "data_s", "elapsed_s", "warmup")), strict=True)
    for number, (steps, train_s, data_s, until_s, warmup) in enumerate(rows):
        calls[steps] += 1
        if calls[steps] <= WARMUP_CALLS and not warmup:
            yield Fault(f"chunks.warmup[{number}]", f"it is false, but this is call {calls[steps]} of its shape")
        if until_s + 1e-6 < elapsed_s + train_s + data_s:
            yield Fault(f"chunks.elapsed_s[{number}]", "it is less than the chunk before and its own parts add up to")
        elapsed_s = until_s


def _timeline_faults(timeline: Mapping[str, float], chunks: Mapping[str, list[Any]]) -> Iterator[Fault]:
    """Every stage is there; they add up to the total; those of training are what the chunks give."""
    for stage in STAGES:
        if stage not in timeline:
            yield Fault(f"timeline.{stage}", "it is missing")
            return
    if min(timeline.values()) < -1e-3:
        yield Fault(f"timeline.{min(timeline, key=lambda stage: timeline[stage])}", "it is negative")
    total_s = sum(value for stage, value in timeline.items() if stage != "total_s")
    if not agree(total_s, timeline["total_s"]):
        yield Fault("timeline.total_s", f"it is {timeline['total_s']}, but the stages add up to {total_s}")
    history = History()
    history.chunks = dict(chunks)
    for stage, value in history.times().items():
        if not agree(value, timeline[stage]):
            yield Fault(f"timeline.{stage}", f"it is {timeline[stage]}, but the chunks give {value}")


def _ceiling_faults(samples: list[Mapping[str, Any]], config: RunConfig) -> Iterator[Fault]:
    shapes = product_shapes(config)
    measured = [(sample["m"], sample["k"], sample["n"]) for sample in samples]
    if measured and measured != shapes:
        yield Fault("ceiling", f"its products are {measured}, not {shapes}")
