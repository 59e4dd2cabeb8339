"""No process is left behind: what ends a worker and all it started, whoever ends first. Standard library only.

Every process that a worker starts inherits a mark in its environment, so it is found wherever it went. The first part
of the mark is its cell's, which the workers of all ranks share; the second is the worker's own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

MARK = "LSTM_COPY_BENCHMARK_WORKER"
# prctl(2)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone, even while native code runs (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have the kernel make whatever descends from this process its child where the parent has ended, so that what it
    used is not lost with it (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


def start_guard(answers: int) -> None:
    """Fork a process that waits for the end of standard input, which the parent keeps open for as long as it lives,
    and then kills this worker's group and whatever bears its mark. To be called before any thread is started."""
    if os.fork():
        return
    # Signals to the group are for the worker; the guard stays until all is over.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A pipe ends when its last writer is gone, and that is to be the worker.
    os.close(answers)
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    kill_marked(os.environ.get(MARK, ""))
    os.killpg(0, signal.SIGKILL)


def kill_marked(mark: str) -> None:
    """Kill every other process that bears the mark."""
    for pid in find_marked(mark):
        with contextlib.suppress(OSError):
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)


def find_marked(mark: str) -> Iterator[int]:
    """The processes whose environment bears the mark, or one that it is the first part of. Where there is no /proc,
    none is found."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes of other users cannot be read, and some end meanwhile.
        with contextlib.suppress(OSError):
            variables = (folder / "environ").read_bytes().split(b"\0")
            if any(each == wanted or each.startswith(wanted + b"-") for each in variables):
                yield int(folder.name)
