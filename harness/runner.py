"""Start one fresh process a job, listen to it, and end it with its whole group when its time is up."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from backends import Backend
from backends.contract import Array, Parameters
from harness.config import RunConfig
from harness.environment import available_cpus
from harness.plan import Cell
from harness.protocol import Message, ProtocolError, encode_arrays, read_message

TERMINATION_GRACE_S = 5.0
PROJECT = Path(__file__).parent.parent
BLAS_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Listener = Callable[[Message], None]


@dataclass(frozen=True)
class Resources:
    """What a worker may use: a device and, on the CPU, the processors it is pinned to; first_cpu are left to others."""

    device: str = "auto"
    threads: int = 1
    timeout_s: float = 24 * 3600.0
    first_cpu: int = 0

    def cpus(self) -> list[int] | None:
        """`threads` of the processors we may use, from the first on; None where the system has no affinity."""
        available = available_cpus()
        return None if available is None else available[self.first_cpu : self.first_cpu + self.threads]


@dataclass(frozen=True)
class Outcome:
    """How a worker ended: the body and arrays of its result, or a status and the reason."""

    status: str
    reason: str | None
    body: dict[str, Any]
    arrays: Parameters


def run_cell(
    cell: Cell,
    config: RunConfig,
    resources: Resources,
    log: Path,
    listen: Listener,
    checkpoint: Message | None = None,
) -> Outcome:
    """Train one cell in a fresh process, from the checkpoint of an earlier one if there is one. Never raises for what
    the worker does."""
    missing = cell.backend.missing_packages()
    if missing:
        return Outcome("not_installed", missing_reason(cell.backend, missing), {}, {})
    request = {
        "job": "train",
        "backend": cell.backend.name,
        "implementation": cell.implementation,
        "precision": cell.precision,
        "seed": cell.seed,
        "configuration": config.to_dict(),
    }
    if checkpoint is None:
        return run_job(cell.backend, request, resources, log, listen)
    return run_job(
        cell.backend, {**request, "checkpoint": checkpoint.body}, resources, log, listen, arrays=checkpoint.arrays
    )


def missing_reason(backend: Backend, missing: list[str]) -> str:
    install = f"; pip install '.[{backend.extra}]' installs it" if backend.extra else ""
    return f"{', '.join(missing)} is not installed{install}"


def run_job(
    backend: Backend,
    request: Mapping[str, Any],
    resources: Resources,
    log: Path,
    listen: Listener = lambda _: None,
    *,
    arrays: Mapping[str, Array] = {},
) -> Outcome:
    """Do one job in a fresh process, which is handed the arrays, its output going to `log`."""
    reading, writing = os.pipe()
    placed = {**request, "device": resources.device, "cpus": resources.cpus(), "spawned_at": time.time()}
    with log.open("wb") as output, os.fdopen(reading, "rb") as answers:
        worker = subprocess.Popen(
            [sys.executable, "-m", "harness.worker", str(writing)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            env=worker_environment(backend, resources),
            start_new_session=True,
        )
        os.close(writing)
        try:
            _send(worker, placed, arrays)
            outcome = _listen(answers, time.monotonic() + resources.timeout_s, listen)
        finally:
            _end_group(worker)
    if outcome is None:
        return _silent_end(worker.returncode, log)
    if outcome.status == "timeout":
        return Outcome("timeout", f"ended after {resources.timeout_s:g} s", {}, {})
    return outcome


def worker_environment(backend: Backend, resources: Resources) -> dict[str, str]:
    """Ours, with threads, devices and GPU memory policy set before any framework is imported."""
    threads = dict.fromkeys((*BLAS_THREAD_VARIABLES, *backend.thread_variables), str(resources.threads))
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": os.pathsep.join(paths)}
    hidden = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"} if resources.device == "cpu" else {}
    return {**os.environ, **threads, **quiet, **backend.gpu_variables, **hidden}


def _send(worker: subprocess.Popen[bytes], request: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Standard input stays open: its end would tell the worker that we are gone."""
    assert worker.stdin is not None
    # A worker that died at once tells how by its exit status.
    with contextlib.suppress(BrokenPipeError):
        layout, payload = encode_arrays(arrays)
        listed = {**request, "arrays": layout, "arrays_bytes": len(payload)}
        worker.stdin.write(json.dumps(listed).encode() + b"\n" + payload)
        worker.stdin.flush()


def _listen(answers: BinaryIO, deadline_s: float, listen: Listener) -> Outcome | None:
    """The worker's result or error; None where its pipe ended without one."""
    inbox: queue.Queue[Message | ProtocolError | None] = queue.Queue()
    threading.Thread(target=_forward, args=(answers, inbox), daemon=True).start()
    while True:
        try:
            message = inbox.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            return Outcome("timeout", None, {}, {})
        if message is None:
            return None
        if isinstance(message, ProtocolError):
            return Outcome("failed", str(message), {}, {})
        if message.kind == "error":
            return Outcome(str(message.body.get("status")), str(message.body.get("reason")), {}, {})
        if message.kind == "result":
            body = message.body
            return Outcome(str(body.get("status", "ok")), body.get("reason"), body, message.arrays)
        listen(message)


def _forward(answers: BinaryIO, inbox: queue.Queue[Message | ProtocolError | None]) -> None:
    """Every message, then None. A pipe that is closed under us has no more messages."""
    with contextlib.suppress(ValueError, OSError):
        try:
            while (message := read_message(answers)) is not None:
                inbox.put(message)
        except ProtocolError as error:
            inbox.put(error)
    inbox.put(None)


def _end_group(worker: subprocess.Popen[bytes]) -> None:
    """Let a finished worker go; end a busy one, and whatever it started, first politely."""
    for ask in (None, signal.SIGTERM, signal.SIGKILL):
        if ask is not None:
            _signal_group(worker, ask)
        elif worker.stdin is not None:
            worker.stdin.close()
        try:
            worker.wait(TERMINATION_GRACE_S)
            break
        except subprocess.TimeoutExpired:
            continue
    _signal_group(worker, signal.SIGKILL)
    worker.wait()


def _signal_group(worker: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # A group that is already gone is what we wanted.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, number)


def _silent_end(returncode: int, log: Path) -> Outcome:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return Outcome("killed", f"killed by signal {-returncode} ({name})", {}, {})
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = f"; its last line: {lines[-1][:200]}" if lines else ""
    return Outcome("failed", f"exited with status {returncode} without a result{last}", {}, {})
