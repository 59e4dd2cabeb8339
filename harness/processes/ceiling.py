"""The parent's side of the ceiling: each framework's products timed in a fresh process.

Every installed framework is asked, whatever was chosen to train: what a machine can do does not depend on that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs
from rich.console import Console

from backends import BACKENDS, FRAMEWORKS, Backend
from harness.cells.requests import TimeProducts
from harness.machine.interruption import is_interrupted
from harness.processes.plan import Plan
from harness.processes.process import INTERRUPTED, Resources, run_job
from harness.processes.saying import say
from harness.processes.selection import Selection
from harness.records.folder import RunFolder
from harness.records.identity import PlannedCell
from harness.records.messages import Timed
from harness.records.structs import Product
from harness.task.recipe import RunConfig

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Samples:
    """Samples but for `after`, and by name the backends whose process failed, and why."""

    samples: list[Product] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


class CeilingSampler:
    """Takes the samples of a run on this machine: before its first cell, before each further round and after its last
    cell; none for a round in which nothing is trained. A backend whose process failed is not asked again."""

    def __init__(self, selection: Selection, plan: Plan, folder: RunFolder, console: Console) -> None:
        self.selection, self.folder, self.console = selection, folder, console
        self.backends = offering(selection.backends)
        self.names = [cell.name for cell in plan.cells]
        self.round_of = {cell.name: number for number, round_ in enumerate(plan.rounds) for cell in round_}
        self.begun: set[int] = set()

    def begin(self, cell: PlannedCell) -> None:
        """Before a cell is trained: take samples if it is the first of its round."""
        number, place = self.round_of[cell.name], self.names.index(cell.name)
        if number not in self.begun and not cell.backend.missing_packages():
            self.begun.add(number)
            self._take(self.names[place - 1] if place else None)

    def end(self) -> None:
        """After the last cell: take samples if anything was trained."""
        if self.begun:
            self._take(self.names[-1])

    def _take(self, after: str | None) -> None:
        if not self.backends or is_interrupted():
            return
        names = ", ".join(backend.name for backend in self.backends)
        with self.console.status(f"timing matrix products: {names}"):
            resources, logs = self.selection.resources.of_all_ranks(), self.folder.path / "logs"
            taken = take_samples(self.backends, self.selection.config, self.selection.precisions, resources, logs)
        self.backends = [backend for backend in self.backends if backend.name not in taken.failures]
        keep_samples(taken, after, self.folder, self.console)


def offering(chosen: Iterable[Backend]) -> list[Backend]:
    """The frameworks and the chosen backends that are installed and have products of their own."""
    known = {backend.name: backend for backend in (*(BACKENDS[name] for name in FRAMEWORKS), *chosen)}
    return [backend for backend in known.values() if backend.product and not backend.missing_packages()]


def take_samples(
    backends: Iterable[Backend], config: RunConfig, precisions: Sequence[str], resources: Resources, logs: Path
) -> Samples:
    """Time the products of each backend, one after the other; after a signal, of no more. What a process prints is in
    ceiling-<backend>.log."""
    taken, limited = Samples(), replace(resources, timeout_s=TIMEOUT_S)
    for backend in backends:
        job = TimeProducts(backend=backend.name, precisions=[*precisions], configuration=config)
        outcome = run_job(job, limited, logs / f"ceiling-{backend.name}.log")
        if outcome.status == INTERRUPTED:
            break
        if isinstance(outcome.body, Timed):
            taken.samples.extend(outcome.body.samples)
        else:
            taken.failures[backend.name] = f"{outcome.status}: {outcome.reason}"
    return taken


def keep_samples(taken: Samples, after: str | None, folder: RunFolder, console: Console) -> None:
    """Write the samples beside the earlier ones, and say what went wrong."""
    lines = [f"No ceiling by {name}: {failure}" for name, failure in taken.failures.items()]
    try:
        if taken.samples:
            folder.add_to_ceiling([structs.replace(sample, after=after) for sample in taken.samples])
    except (OSError, ValueError) as error:
        lines.append(f"Samples of the ceiling could not be kept: {error}")
    for line in lines:
        say(console, line)
