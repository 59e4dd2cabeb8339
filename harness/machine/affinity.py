"""The processors of this process: pinned before any library counts them, and read back. Standard library only."""

from __future__ import annotations

import contextlib
import os


def set_affinity(cpus: list[int] | None) -> None:
    """Pin this process, which has one thread as yet; None where the system has no affinity. Raises RuntimeError where
    the system gives others."""
    if cpus is not None:
        os.sched_setaffinity(0, cpus)
        in_force = sorted(os.sched_getaffinity(0))
        if in_force != sorted(cpus):
            raise RuntimeError(f"asked for processors {cpus}, the system gave {in_force}")


def read_affinity() -> list[int] | None:
    """The processors on which any thread of this process may run, whichever library started it; None where the system
    has no affinity."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cpus = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            # Threads end meanwhile.
            with contextlib.suppress(ProcessLookupError):
                cpus |= os.sched_getaffinity(int(thread))
    return sorted(cpus)
