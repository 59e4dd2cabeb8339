"""The fresh process of one cell: pins itself, imports one framework, does one job and answers on its own pipe.

It needs NumPy, msgspec and its framework, nothing else of the harness' libraries.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from harness.cells.guard import adopt_orphans, end_with_parent, start_guard
from harness.cells.placement import Envelope
from harness.machine.affinity import set_affinity

if TYPE_CHECKING:
    from harness.records.structs import Status


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        return  # The parent is gone already.
    envelope, answers = msgspec.json.decode(line, type=Envelope), int(sys.argv[1])
    # A reader's own backend may lie here, and is found after this suite and what is installed.
    sys.path.append(os.getcwd())
    payload = sys.stdin.buffer.read(envelope.arrays_bytes)
    end_with_parent()
    start_guard(answers)
    adopt_orphans()
    set_affinity(envelope.placement.cpus)
    with os.fdopen(answers, "wb") as stream:
        answer(line, payload, stream)


def answer(line: bytes, payload: bytes, stream: BinaryIO) -> None:
    """Do the job and write its messages; whatever it raises becomes a message that it failed."""
    # NumPy sizes its thread pool at import, so nothing that imports it may come before the affinity is set.
    from harness.cells import jobs
    from harness.records.messages import NOTHING, Failed, tell, write_message

    try:
        jobs.do(line, payload, stream)
    except BaseException as error:
        cause, measured = error, None
        if isinstance(error, jobs.Incomplete) and error.__cause__:
            cause, measured = error.__cause__, error.measured
        # The log may be what failed: on a full disk nothing can be printed.
        with contextlib.suppress(OSError):
            traceback.print_exception(cause)
        status, reason = describe_failure(cause)
        record = NOTHING
        # What was measured may be what cannot be told in JSON.
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            record = NOTHING if measured is None else tell(measured)
        with contextlib.suppress(BrokenPipeError):
            write_message(stream, Failed(status, reason, record))


def describe_failure(error: BaseException) -> tuple[Status, str]:
    """The status and the one-line reason of an exception."""
    # A text may hold half a character, as names of files do, which JSON cannot.
    text = " ".join(str(error).encode("utf-8", "ignore").decode().split())[:500]
    if type(error).__name__ == "Unsupported":
        return "unsupported", text
    if isinstance(error, FloatingPointError):
        return "diverged", text
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        return "out_of_memory", f"{type(error).__name__}: {text}"
    return "failed", f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    main()
