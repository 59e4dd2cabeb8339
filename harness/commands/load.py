"""What other processes use of the processors before the first cell: looked at, said, and waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from harness.analysis.measures import BUSY_SHARE
from harness.machine.interruption import is_interrupted
from harness.report.quantities import percent
from harness.task.one_line import one_line

LOOK_S = 1.0
PATIENCE_S = 30.0
MOST_PROGRAMS = 3


@dataclass(frozen=True)
class Load:
    """The share (0..1) of all processors that other processes used, and the names of their programs, busiest first."""

    share: float
    programs: list[str]

    def __str__(self) -> str:
        names = ", ".join(self.programs[:MOST_PROGRAMS]) or "none that can be seen from here"
        return f"other processes use {percent(self.share)} of the processors ({names})"


def await_quiet(say: Callable[[str], None]) -> float:
    """Wait until other processes leave the processors alone, at most PATIENCE_S and not after a signal; the share that
    they used at last. `say` is told what there is to wait for."""
    load, begun_s = look(), time.monotonic()
    if load.share <= BUSY_SHARE:
        return load.share
    say(f"Waiting up to {PATIENCE_S:.0f} s: {load}.")
    while load.share > BUSY_SHARE and time.monotonic() - begun_s < PATIENCE_S and not is_interrupted():
        load = look()
    if load.share > BUSY_SHARE and not is_interrupted():
        say(f"Warning: {load}. Speeds measured now are doubtful; the report says what others used during each cell.")
    return load.share


def look() -> Load:
    """What processes other than this one and those that descend from it use during the next LOOK_S."""
    before, begun_s = _read_usage(), time.monotonic()
    busy_share = psutil.cpu_percent(interval=LOOK_S) / 100
    elapsed_s, after = time.monotonic() - begun_s, _read_usage()
    used_s = {process: cpu_s - before.get(process, ("", 0.0))[1] for process, (_, cpu_s) in after.items()}
    here = psutil.Process()
    own_s = sum(used_s.pop(process, 0.0) for process in (here, *here.children(recursive=True)))
    programs: Counter[str] = Counter()
    for process, cpu_s in used_s.items():
        # A counter of milliseconds.
        programs[after[process][0]] += round(1000 * cpu_s)
    share = busy_share - own_s / (elapsed_s * (psutil.cpu_count() or 1))
    return Load(min(max(share, 0.0), 1.0), [name for name, used_ms in programs.most_common() if used_ms > 0])


def _read_usage() -> dict[psutil.Process, tuple[str, float]]:
    """The program's name and the CPU seconds of every process that may be seen."""
    usage = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None:
            usage[process] = (one_line(process.info["name"] or "") or "unnamed", times.user + times.system)
    return usage
