"""The fresh process of one cell: pins itself, imports one framework, does one job and answers on its own pipe.

It needs NumPy, the standard library and its framework, nothing else of the harness' libraries.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from typing import Any, BinaryIO

from harness.cells.guard import adopt_orphans, end_with_parent, start_guard
from harness.machine.affinity import set_affinity

STARTED_S = time.perf_counter()


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        return  # The parent is gone already.
    request, answers = json.loads(line), int(sys.argv[1])
    payload = sys.stdin.buffer.read(request.get("arrays_bytes", 0))
    end_with_parent()
    start_guard(answers)
    adopt_orphans()
    set_affinity(request["cpus"])
    with os.fdopen(answers, "wb") as stream:
        answer(request, stream, payload)


def answer(request: dict[str, Any], stream: BinaryIO, payload: bytes = b"") -> None:
    """Do the job and write its messages; whatever it raises becomes an error message."""
    # NumPy sizes its thread pool at import, so nothing that imports it may come before the affinity is set.
    from harness.cells import jobs
    from harness.records.messages import write_message

    try:
        jobs.do(request, stream, STARTED_S, payload)
    except BaseException as error:
        cause, measured = error, {}
        if isinstance(error, jobs.Incomplete) and error.__cause__:
            cause, measured = error.__cause__, error.measured
        # The log may be what failed: on a full disk nothing can be printed.
        with contextlib.suppress(OSError):
            traceback.print_exception(cause)
        status, reason = describe_failure(cause)
        failure = {"status": status, "reason": reason}
        with contextlib.suppress(BrokenPipeError):
            try:
                write_message(stream, "error", {**measured, **failure})
            except (TypeError, ValueError):  # What was measured cannot be told in JSON.
                write_message(stream, "error", failure)


def describe_failure(error: BaseException) -> tuple[str, str]:
    """The status and the one-line reason of an exception."""
    text = " ".join(str(error).split())[:500]
    if type(error).__name__ == "Unsupported":
        return "unsupported", text
    if isinstance(error, FloatingPointError):
        return "diverged", text
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        return "out_of_memory", f"{type(error).__name__}: {text}"
    return "failed", f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    main()
