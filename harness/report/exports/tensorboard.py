"""TensorBoard's event files, one folder for each cell, from its record.

Written with tensorboardX, which knows the format without TensorFlow; it is only imported where it is asked for.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType

from harness.analysis import measures
from harness.records.structs import Cell, Run
from harness.task.presets import ConfigurationError

LOSS, SPEED = "train/loss", "train/sequences_per_s"
# The step of these is the length of the pattern.
BIT_ERROR, EXACT = "evaluation/bit_error_by_length", "evaluation/exact_fraction_by_length"
UNFINISHED = ".unfinished"


def check_installed() -> None:
    """Raise ConfigurationError, with what to install, where tensorboardX is not there."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigurationError("TensorBoard files need tensorboardX; pip install '.[export]' installs it")


def write_run(run: Run, folder: Path) -> None:
    """Every loss, the speed of every call and the evaluation of each cell that trained, below `folder`.

    Raises ConfigurationError where `folder` exists.
    """
    check_installed()
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: {error.strerror}; name a new folder") from None
    started_s = _timestamp(run.file.created)
    for cell in run.cells:
        if cell.losses:
            with EventFile(folder / cell.cell) as file:
                _write_cell(file, cell, run.batch, started_s)


class EventFile:
    """One event file in a folder. While it is open its name ends with the machine's, as tensorboardX gives it; closed,
    it does not, because folders are shown to others."""

    def __init__(self, folder: Path) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        folder.mkdir()
        self.folder = folder
        self.writer = EventsWriter(str(folder / "events"), UNFINISHED)

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()
        for path in self.folder.glob(f"events.out.tfevents.*{UNFINISHED}"):
            stamp = path.name.split(".")[3]
            path.rename(self.folder / f"events.out.tfevents.{stamp}.000")

    def add(self, tag: str, value: float, step: int, wall_time_s: float | None = None) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        self.writer.write_event(Event(wall_time=wall_time_s or time.time(), step=step, summary=summary))


def _write_cell(file: EventFile, cell: Cell, batch: int, started_s: float) -> None:
    losses = measures.losses(cell).tolist()
    for step, (loss, at_s) in enumerate(zip(losses, measures.elapsed_s(cell).tolist(), strict=True), 1):
        # An elapsed time that is unknown is not a number, and not equal to itself.
        file.add(LOSS, loss, step, started_s + at_s if at_s == at_s else None)
    for step, rate, at_s in _call_rates(cell, batch):
        file.add(SPEED, rate, step, started_s + at_s)
    for item in cell.evaluation.lengths if cell.evaluation else []:
        file.add(BIT_ERROR, item.bit_error, item.length)
        file.add(EXACT, item.exact_fraction, item.length)


def _call_rates(cell: Cell, batch: int) -> Iterable[tuple[int, float, float]]:
    """(step reached, sequences/s of the call, seconds since training began) of each call."""
    if cell.chunks is None:
        return
    step = 0
    for steps, train_s, elapsed_s in zip(cell.chunks.steps, cell.chunks.train_s, cell.chunks.elapsed_s, strict=True):
        step += steps
        yield step, steps * batch / train_s, elapsed_s


def _timestamp(created: str) -> float:
    try:
        return datetime.fromisoformat(created).timestamp()
    except ValueError:
        return time.time()
