"""Ctrl-C and TERM: the first asks for an orderly end, the second is one."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Signals are the process' own, so there is one place that says which has come.
_in_force: list[Interruption] = []


def is_interrupted() -> bool:
    """Whether an orderly end has been asked for."""
    return any(interruption.signal is not None for interruption in _in_force)


class Interruption:
    """Remembers the first signal while it is in force; at the second the process ends at once, and its workers' guards
    end those. Nothing is raised, so nothing that is being written is cut off. For the main thread."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._earlier: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that the signal ended."""
        return 128 + (self.signal or 0)

    @property
    def name(self) -> str:
        return signal.Signals(self.signal or 0).name

    def __enter__(self) -> Interruption:
        _in_force.append(self)
        self._earlier = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        _in_force.remove(self)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(128 + number)
        self.signal = number
