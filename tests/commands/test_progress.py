"""What a terminal shows while a cell trains."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from backends import find_backend
from harness.commands.progress import CellProgress
from harness.processes.process import Resources
from harness.processes.runner import run_cell
from harness.processes.schedule import ScheduleState
from harness.records.identity import PlannedCell
from harness.records.messages import Message, Phase, Progress
from harness.task.copy_task import CopyTask
from harness.task.recipe import ModelConfig, RunConfig, TrainConfig

CONFIG = RunConfig(
    task=CopyTask(max_length=2), model=ModelConfig(layers=1, hidden=3), train=TrainConfig(batch=4, steps=12, chunk=3)
)


def bar_length(progress: CellProgress) -> int:
    """How much of the cell's bar is drawn."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=300)
    console.print(progress.bar.get_renderable())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()[0].count("━")


def test_the_bar_of_a_cell_of_several_ranks_counts_training_steps(tmp_path: Path) -> None:
    heard: list[Message] = []
    cell = PlannedCell(find_backend("together"), "idiomatic", "float32", 0, 0)
    run_cell(cell, CONFIG, Resources("cpu", 1, 60.0, ranks=2), tmp_path / "cell.log", heard.append)
    progress = CellProgress(
        cell.name, CONFIG.train.steps, Console(file=io.StringIO()), ScheduleState(0, 1, "0 of 1 cells")
    )
    lengths = []
    for message in heard:
        progress.show(message)
        lengths.append((type(message.body), bar_length(progress)))
    first_step = [kind for kind, _ in lengths].index(Progress)
    assert first_step > 0
    assert {length for _, length in lengths[:first_step]} == {0}
    # Of 12 steps 3 are done after the first chunk, and all before the evaluation.
    kind, whole = lengths[-1]
    assert kind is Phase
    assert lengths[first_step][1] == pytest.approx(whole / 4, abs=1)


def test_something_moves_before_the_first_step() -> None:
    """While a framework is imported and compiles, nobody knows how far it is."""
    clock_s = [0.0]
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=120, get_time=lambda: clock_s[0]
    )
    progress = CellProgress("a", 12, console, ScheduleState(0, 1, "0 of 1 cells"))
    drawn = set()
    for clock_s[0] in (0.0, 0.2, 0.4):
        with console.capture() as captured:
            console.print(progress.bar.get_renderable())
        drawn.add(captured.get().splitlines()[0])
    assert len(drawn) > 1
