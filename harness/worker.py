"""The fresh process of one cell: pins itself, imports one framework, does one job and answers on its own pipe.

It needs NumPy, the standard library and its framework, nothing else of the harness' libraries.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

STARTED_S = time.perf_counter()


def main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    payload = sys.stdin.buffer.read(request.get("arrays_bytes", 0))
    set_affinity(request["cpus"])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with os.fdopen(int(sys.argv[1]), "wb") as stream:
        answer(request, stream, payload)


def set_affinity(cpus: list[int] | None) -> None:
    """Pin this process before any library counts its cores; None where the system has no affinity."""
    if cpus is not None:
        os.sched_setaffinity(0, cpus)
        in_force = sorted(os.sched_getaffinity(0))
        if in_force != sorted(cpus):
            raise RuntimeError(f"asked for processors {cpus}, the system gave {in_force}")


def answer(request: dict[str, Any], stream: BinaryIO, payload: bytes = b"") -> None:
    """Do the job and write its messages; whatever it raises becomes an error message."""
    # NumPy sizes its thread pool at import, so nothing that imports it may come before the affinity is set.
    from harness import jobs
    from harness.protocol import write_message

    try:
        jobs.do(request, stream, STARTED_S, payload)
    except BaseException as error:
        traceback.print_exc()
        with contextlib.suppress(BrokenPipeError):
            status, reason = describe_failure(error)
            write_message(stream, "error", {"status": status, "reason": reason})


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


def _end_with_parent() -> None:
    """The parent keeps our standard input open; when it ends, so do we."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(1)


if __name__ == "__main__":
    main()
