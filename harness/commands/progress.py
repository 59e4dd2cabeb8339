"""Progress of a cell: a bar with loss and speed on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from harness.cells.group import CONNECTED, STARTED, TRAINED
from harness.processes.saying import say
from harness.processes.schedule import ScheduleState, say_duration
from harness.records.messages import Message, Phase, Progress

PLAIN_LINE_INTERVAL_S = 10.0
PHASES = {STARTED: "waiting for the other ranks", CONNECTED: "starting", TRAINED: "evaluating"}


class CellTimeRemaining(TimeRemainingColumn):
    """For a cell; the line of the whole run says its time in words."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields["state"] else Text()


class CellProgress:
    """Shows a worker's messages; use as a context manager around the cell. run is how far all cells are."""

    def __init__(self, name: str, n_steps: int, console: Console, run: ScheduleState) -> None:
        self.name, self.n_steps, self.console = name, n_steps, console
        self.last_line_s = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
        # It turns while the bar stands still: at imports, compilation and evaluation, which have no known length.
        alive = SpinnerColumn("line")
        self.bar = Bars(alive, *columns, CellTimeRemaining(), console=console, transient=True)
        self.task = self.bar.add_task(name, total=n_steps, state="starting")
        self.bar.add_task(run.words, total=run.n_cells, completed=run.n_done, state="")

    def __enter__(self) -> CellProgress:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.bar.stop()

    def show(self, message: Message) -> None:
        """Show a Progress or Phase message."""
        body = message.body
        if isinstance(body, Phase):
            phase = body.phase
            # Before the first step and after the last; the bar counts steps.
            completed = self.n_steps if phase == TRAINED else None
            self.bar.update(self.task, completed=completed, state=PHASES.get(phase, phase))
            return
        if not isinstance(body, Progress):
            return
        state = f"loss {body.loss:.4f}  {body.sequences_per_s:,.0f} sequences/s"
        self.bar.update(self.task, completed=body.step, state=state)
        if not self.console.is_terminal and time.monotonic() - self.last_line_s >= PLAIN_LINE_INTERVAL_S:
            self.last_line_s = time.monotonic()
            left_s = self.bar.tasks[0].time_remaining
            left = "" if left_s is None else f"  about {say_duration(left_s)} left"
            say(self.console, f"{self.name}: step {body.step} of {self.n_steps}  {state}{left}")
