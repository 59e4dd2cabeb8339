"""How much of the machine others use while a cell trains, from Linux' /proc. Standard library only."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from harness.cells.guard import MARK, find_marked

# The kernel counts in ticks, of 10 ms as a rule: over less than this, what others used cannot be told.
LEAST_STRETCH_S = 0.5
# Places in a process' stat, from its state on (proc_pid_stat(5)): the parent; and from USER to WAITED_SYSTEM the ticks
# used by it and by the children that it has waited for.
PARENT, USER, WAITED_SYSTEM = 1, 11, 14


class OtherProcesses:
    """How much of the machine's processors is used by processes that are not this cell's, from its making on."""

    def __init__(self) -> None:
        self.other_s, self.started_s = other_busy_s(), time.monotonic()

    def share(self) -> float | None:
        """0..1 of all processors; None where the system does not tell, or counts too coarsely for so short a time."""
        other_s, elapsed_s = other_busy_s(), time.monotonic() - self.started_s
        if other_s is None or self.other_s is None or elapsed_s < LEAST_STRETCH_S:
            return None
        return max(0.0, (other_s - self.other_s) / ((os.cpu_count() or 1) * elapsed_s))


def other_busy_s() -> float | None:
    """Seconds that all processors have worked since boot, but for what the cell's processes have used."""
    busy_s = machine_busy_s()
    return None if busy_s is None else busy_s - cell_busy_s()


def machine_busy_s() -> float | None:
    """Seconds that all processors together have worked since boot: user, nice, system, interrupts and stolen time of
    Linux' /proc/stat; None elsewhere."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, fields[:8])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def cell_busy_s() -> float:
    """CPU seconds that the cell's processes on this machine have used: the run's own, which started this worker, and
    all that descends from it; where Ray started further ranks on this machine, those and all that descends from them.

    The difference of two calls counts processes that ended between them, too: what a process used goes to the parent
    that waits for it, and orphans stay with their worker until it ends (harness.cells.guard.adopt_orphans).
    """
    used = _read_processes()
    cell = os.environ.get(MARK, "").partition("-")[0]
    members = {os.getppid(), *find_marked(cell)} & used.keys()
    while more := {pid for pid, fields in used.items() if fields[PARENT] in members} - members:
        members |= more
    return sum(sum(used[pid][USER : WAITED_SYSTEM + 1]) for pid in members) / os.sysconf("SC_CLK_TCK")


def _read_processes() -> dict[int, list[int]]:
    """Of each process, what its stat says after its program's name, which may hold anything; the state left out."""
    processes = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # Some end meanwhile.
        with contextlib.suppress(OSError):
            _, _, fields = (folder / "stat").read_bytes().rpartition(b")")
            processes[int(folder.name)] = [0, *map(int, fields.split()[1 : WAITED_SYSTEM + 1])]
    return processes
