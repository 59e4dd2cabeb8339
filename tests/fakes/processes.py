"""What tests of processes share: who is running, and who bears a mark."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import psutil

# A busy machine is no fault of what is tested.
PATIENCE_S = 120.0


def ends(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true while one can be expected to wait."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Marked:
    """Processes that inherit an environment variable of this name, and so all that one of them starts."""

    def __init__(self) -> None:
        self.variable = f"TEST_{secrets.token_hex(8)}"

    def pids(self) -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                if self.variable in process.environ() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found
