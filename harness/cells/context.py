"""What every job of a worker needs beside its request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from backends.contract import Parameters
from harness.cells.placement import Placement


@dataclass(frozen=True)
class Context:
    """Where the worker runs, the arrays that came along, and the stream that it answers on."""

    placement: Placement
    arrays: Parameters
    stream: BinaryIO
