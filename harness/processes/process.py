"""Start one fresh process a job, listen to it, and end it with its whole group when its time is up."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from backends import Backend, find_backend
from backends.contract import Array, Parameters
from harness.cells.guard import MARK, kill_marked
from harness.cells.placement import Placement
from harness.cells.requests import AnyJob, Request
from harness.machine import find_processors
from harness.machine.interruption import is_interrupted
from harness.processes.environment import make_environment
from harness.records.messages import Failed, Last, Message, ProtocolError, Trained, encode, encode_arrays, read_message
from harness.records.schema import MAXIMUM_REASON_LENGTH, digest
from harness.task.one_line import one_line

TERMINATION_GRACE_S = 5.0
# Who presses Ctrl-C waits for it.
INTERRUPTION_GRACE_S = 2.0
# How often a waiting parent looks at the clock, at its signals and at the log's size.
POLL_INTERVAL_S = 0.5
MAXIMUM_LOG_BYTES = 2**26
N_LAST_LINES = 3
# What begins a traceback, alone or in a chain.
TRACEBACK = re.compile(
    r"Traceback \(most recent call last\)|During handling of the above exception|The above exception was the direct"
)
MAXIMUM_LINE_LENGTH = 160
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Resources:
    """What a cell may use: a device, and the processors that each of its ranks is pinned to. share is the number of
    this cell or rank among those that use the machine together. gpu is the number, among those that we may see, of the
    one GPU that the process may."""

    device: str = "auto"
    threads: int = 1
    timeout_s: float = 24 * 3600.0
    share: int = 0
    ranks: int = 1
    gpu: int | None = None

    def cpus(self) -> list[int] | None:
        """The processors of its share; None where the system has no affinity."""
        return find_processors().share(self.share, self.threads)

    def of_rank(self, rank: int) -> Resources:
        """What one rank may use."""
        gpu = None if self.device == "cpu" else rank
        return replace(self, ranks=1, share=self.share + rank, gpu=gpu)

    def of_all_ranks(self) -> Resources:
        """What the ranks may use together, for one process."""
        return replace(self, ranks=1, threads=min(self.ranks * self.threads, find_processors().most))


@dataclass(frozen=True)
class Outcome:
    """How a worker ended: a status with the reason, and the last message it sent, if it did. Besides the statuses of
    the schema there is INTERRUPTED: we were asked to end before it had."""

    status: str
    reason: str | None = None
    body: Last | None = None
    arrays: Parameters = field(default_factory=dict)


def _ignore(_: object) -> None:
    pass


@dataclass(frozen=True)
class Watcher:
    """Who waits for a job: hears its messages but the last, says whether it has to end, and is told how it went while
    its process is still there, which ends when `conclude` returns."""

    hear: Callable[[Message], None] = _ignore
    is_over: Callable[[], bool] = is_interrupted
    conclude: Callable[[Outcome], None] = _ignore


def missing_reason(backend: Backend, missing: list[str]) -> str:
    install = f"; pip install '.[{backend.extra}]' installs it" if backend.extra else ""
    return f"{', '.join(missing)} is not installed{install}"


def run_job(
    job: AnyJob, resources: Resources, log: Path, watcher: Watcher = Watcher(), arrays: Mapping[str, Array] = {}
) -> Outcome:
    """Do one job in a fresh process, which is handed the arrays; what it prints goes to `log`. Nothing that it started
    outlives it."""
    if watcher.is_over():
        return Outcome(INTERRUPTED, "asked to end")
    # The worker reads the same clock: since Python 3.5 time.monotonic is one for all processes of a machine, and nobody
    # can set it (https://docs.python.org/3/library/time.html#time.monotonic).
    placement = Placement(resources.device, resources.cpus(), time.monotonic())
    mark = _make_mark(job)
    n_killed = out_of_memory_kills()
    try:
        worker, answers = _start(find_backend(job.backend), resources, log, mark)
    except OSError as error:
        return Outcome("failed", f"its process could not be started: {error.strerror}")
    outcome = Outcome(INTERRUPTED, None)
    try:
        _send(worker, job, placement, arrays)
        heard = _listen(answers, resources.timeout_s, log, watcher)
        outcome = heard or _silent_end(worker, n_killed)
        watcher.conclude(outcome)
    finally:
        graces_s = {"timeout": TERMINATION_GRACE_S, INTERRUPTED: INTERRUPTION_GRACE_S}
        _end(worker, mark, graces_s.get(outcome.status, 0.0))
    return _explain(outcome, log, silent=heard is None)


def _make_mark(job: AnyJob) -> str:
    """A mark for the worker and all that it starts: its cell's, which the ranks share, and one of its own."""
    cell = digest(job.group.addresses)[:16] if job.group else secrets.token_hex(8)
    return f"{cell}-{secrets.token_hex(8)}"


def _start(backend: Backend, resources: Resources, log: Path, mark: str) -> tuple[subprocess.Popen[bytes], BinaryIO]:
    """The worker and the end of the pipe it answers on. Raises OSError."""
    with log.open("wb") as output:
        reading, writing = os.pipe()
        try:
            worker = subprocess.Popen(
                [sys.executable, "-m", "harness.cells.worker", str(writing)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
                env={**worker_environment(backend, resources), MARK: mark},
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
    return worker, os.fdopen(reading, "rb")


def worker_environment(backend: Backend, resources: Resources) -> dict[str, str]:
    """What a worker with these resources has for an environment."""
    return make_environment(backend, resources.device, resources.threads, resources.gpu)


def _send(worker: subprocess.Popen[bytes], job: AnyJob, placement: Placement, arrays: Mapping[str, Array]) -> None:
    """Standard input stays open: its end would tell the worker that we are gone."""
    assert worker.stdin is not None
    # A worker that died at once tells how by its exit status.
    with contextlib.suppress(BrokenPipeError):
        layout, payload = encode_arrays(arrays)
        request = Request(placement, len(payload), job, layout)
        worker.stdin.write(encode(request) + b"\n" + payload)
        worker.stdin.flush()


def _listen(answers: BinaryIO, timeout_s: float, log: Path, watcher: Watcher) -> Outcome | None:
    """How the worker says that it ended, or why we stopped waiting; None where its pipe ended without either."""
    inbox: queue.Queue[Message | ProtocolError | None] = queue.Queue()
    threading.Thread(target=_forward, args=(answers, inbox), daemon=True).start()
    deadline_s = time.monotonic() + timeout_s
    while True:
        if watcher.is_over():
            return Outcome(INTERRUPTED, "asked to end")
        if time.monotonic() >= deadline_s:
            return Outcome("timeout", f"ended after {timeout_s:,.10g} s")
        if _size_bytes(log) > MAXIMUM_LOG_BYTES:
            return Outcome("failed", f"it printed more than {MAXIMUM_LOG_BYTES} bytes")
        try:
            message = inbox.get(timeout=min(POLL_INTERVAL_S, max(0.0, deadline_s - time.monotonic())))
        except queue.Empty:
            continue
        if message is None:
            return None
        if isinstance(message, ProtocolError):
            return Outcome("failed", str(message))
        if isinstance(message.body, Last):
            return _read_end(message.body, message.arrays)
        watcher.hear(message)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_end(body: Last, arrays: Parameters) -> Outcome:
    if isinstance(body, Failed) and body.status == "ok":
        return Outcome("failed", "the worker failed with status 'ok'")
    if isinstance(body, Failed | Trained):
        return Outcome(body.status, body.reason, body, arrays)
    return Outcome("ok", None, body, arrays)


def _forward(answers: BinaryIO, inbox: queue.Queue[Message | ProtocolError | None]) -> None:
    """Every message, then None. It closes the pipe, so that nobody waits for a reader who waits for a writer."""
    with answers, contextlib.suppress(OSError):
        try:
            while (message := read_message(answers)) is not None:
                inbox.put(message)
        except ProtocolError as error:
            inbox.put(error)
    inbox.put(None)


def _end(worker: subprocess.Popen[bytes], mark: str, grace_s: float) -> None:
    """End the worker with its whole group, at first with TERM where it has some grace, and what left the group."""
    if grace_s:
        _signal_group(worker, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(grace_s)
    _signal_group(worker, signal.SIGKILL)
    worker.wait()
    kill_marked(mark)
    if worker.stdin is not None:
        # What was not yet written to a worker that is gone needs no writing.
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.close()


def _signal_group(worker: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # A group that is already gone is what we wanted.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, number)


def _silent_end(worker: subprocess.Popen[bytes], n_killed: int | None) -> Outcome:
    """What the exit status tells. n_killed: how often memory had run out before the worker was started."""
    try:
        returncode = worker.wait(TERMINATION_GRACE_S)
    except subprocess.TimeoutExpired:
        return Outcome("failed", "it closed its answers without a result")
    if returncode >= 0:
        return Outcome("failed", f"exited with status {returncode} without a result")
    named = {number.value: f" ({number.name})" for number in signal.Signals}
    killed = f"killed by signal {-returncode}{named.get(-returncode, '')}"
    if returncode == -signal.SIGKILL and out_of_memory_kills() != n_killed:
        return Outcome("out_of_memory", f"{killed} while the system was out of memory")
    return Outcome("killed", killed)


def out_of_memory_kills() -> int | None:
    """How many processes the kernel has killed for want of memory since boot; None where it does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return None


def _explain(outcome: Outcome, log: Path, silent: bool) -> Outcome:
    """The outcome with its reason on one line; what failed unexpectedly has the last lines of the log with it. A
    traceback is among them only where the worker ended silently: else it tells what the reason says, or that nobody
    listens to the worker any more."""
    if outcome.reason is None:
        return outcome
    reason = one_line(outcome.reason)[:MAXIMUM_REASON_LENGTH]
    unexpected = outcome.status in ("failed", "timeout", "out_of_memory", "killed")
    lines = last_lines(log, before_traceback=not silent) if unexpected else []
    # Native errors are often on both ways.
    lines = [line for line in lines if line not in reason]
    return replace(outcome, reason=f"{reason}; its log ends: {' | '.join(lines)}" if lines else reason)


def last_lines(log: Path, before_traceback: bool = False) -> list[str]:
    """The last lines of a log that are not blank, shortened; of what comes before a traceback, if so asked."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, _size_bytes(log) - 2**16))
            text = stream.read(2**16).decode("utf-8", "replace")
    except OSError:
        return []
    if before_traceback:
        text = TRACEBACK.split(text, maxsplit=1)[0]
    lines = [one_line(line) for line in text.splitlines() if not TRACEBACK.search(line)]
    return [line[:MAXIMUM_LINE_LENGTH] for line in lines if line][-N_LAST_LINES:]
