"""Backends that behave and misbehave, registered by name in faults-0.dist-info: `--backend crashing` trains with one
that reads address 0.

A fault is mostly one method of a trainer: a function here, and `replaces` makes the backend of its name from it. Those
that fail while they are imported are modules of their own beside this one: bursting.py and unimportable.py.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, cast

import numpy as np
import psutil

from backends import Backend, find_backend, reference
from backends.contract import (
    Array,
    Batch,
    Chunk,
    Group,
    Implementation,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    State,
    Unsupported,
)
from backends.reference import ReferenceTrainer

STAYING = "import time; time.sleep(600)"
FLEEING = f"import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); {STAYING}"
# More than a proof takes.
HOLD_AFTER = 20
# Sequences times time steps: more than any case has that is the same for every run.
ROWS = 100
BURN_S = 0.2
WEIGHT_BYTES, WORK_S = 2**26, 0.06
BURN = "import time\nwhile time.process_time() < {}: pass"
REQUIRED = ("train", "predict", "loss_and_gradients", "parameters", "peak_memory_bytes", "settings")

true_time = time.time
read_text = Path.read_text


@dataclass(frozen=True)
class Fault(Backend):
    """A backend of one implementation, which is the function `build` and no module."""

    build: Callable[..., Any] = field(kw_only=True)

    def load(self, implementation: str) -> Implementation:
        return cast(Implementation, self)


class LinearTrainer:
    """No LSTM, but keeps the contract: the loss falls from 0.7 by 1 % a step."""

    def __init__(self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters) -> None:
        self.outputs, self.arrays, self.steps = model.outputs, parameters, 0

    def train(self, chunk: Chunk) -> Array:
        n_steps = len(chunk.learning_rates)
        losses = 0.7 * 0.99 ** np.arange(self.steps, self.steps + n_steps)
        self.steps += n_steps
        return losses

    def predict(self, inputs: Array) -> Array:
        return np.full((*inputs.shape[:2], self.outputs), 0.25, np.float32)

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        return 0.7, {name: np.zeros_like(array) for name, array in self.arrays.items()}

    def parameters(self) -> Parameters:
        return {name: array.copy() for name, array in self.arrays.items()}

    def peak_memory_bytes(self) -> int | None:
        return None

    def settings(self) -> dict[str, Setting]:
        return {"device": "cpu"}


class RankTrainer(LinearTrainer):
    """Trains as one of several ranks, and tells how many rows of a batch it is handed."""

    group: Group | None = None

    def train(self, chunk: Chunk) -> Array:
        print(f"{chunk.inputs.shape[1]} rows from {chunk.inputs[0, 0, 1, 2:].sum():.3f}")
        return super().train(chunk)

    def settings(self) -> dict[str, Setting]:
        return {**super().settings(), "group_size": self.group.size if self.group else 1}

    def exchange(self) -> None:
        pass


class ResumableTrainer(LinearTrainer):
    """Tells its state like a real trainer, and adds the sum of the inputs to every parameter, so that a batch left out
    or seen twice shows."""

    def train(self, chunk: Chunk) -> Array:
        self.arrays = {name: array + np.float32(chunk.inputs.sum()) for name, array in self.arrays.items()}
        return super().train(chunk)

    def state(self) -> State:
        return {**self.parameters(), "optimizer.step": np.asarray(self.steps, np.int64)}

    def restore(self, state: State) -> None:
        self.steps = int(state["optimizer.step"])
        self.arrays = {name: np.asarray(state[name]) for name in self.arrays}


class InterruptedTrainer:
    """A trainer that is killed before the training call at or after the step that the file KILL_AT holds. The file is
    removed by that, so the next process goes through."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.steps = trainer, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)

    def train(self, chunk: Chunk) -> Array:
        kill_at = Path(os.environ["KILL_AT"])
        if kill_at.is_file() and self.steps >= int(kill_at.read_text()):
            kill_at.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps += len(chunk.learning_rates)
        return cast(Array, self.trainer.train(chunk))

    def restore(self, state: State) -> None:
        self.trainer.restore(state)
        self.steps = int(state["optimizer.step"])


class CrowdedTrainer(RankTrainer):
    """Trains as one of several ranks, with four rows each, and has children that compute: one in its first call that
    ends, one that goes on. On the machine that it sees nothing runs but what has the variable CROWD in its environment.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        Path.read_text = read_crowd  # type: ignore[method-assign]

    def train(self, chunk: Chunk) -> Array:
        if chunk.inputs.shape[1] != 4:
            return super().train(chunk)
        if self.steps == 0:
            subprocess.run([sys.executable, "-c", BURN.format(2 * BURN_S)], check=True)
            subprocess.Popen([sys.executable, "-c", BURN.format(600)])
        begun_s = time.process_time()
        while time.process_time() - begun_s < BURN_S:
            pass
        return super().train(chunk)


def read_crowd(path: Path, *arguments: Any, **options: Any) -> str:
    """Path.read_text, but for /proc/stat, which tells what those in the crowd have used."""
    if path != Path("/proc/stat"):
        return read_text(path, *arguments, **options)
    used_s = 0.0
    for process in psutil.process_iter():
        try:
            if "CROWD" in process.environ():
                used_s += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return f"cpu {round(used_s * os.sysconf('SC_CLK_TCK'))} 0 0 0 0 0 0 0"


class WideTrainer(ReferenceTrainer):
    """The NumPy reference, whose training is wrong where a batch has more than ROWS rows, as a compiler's fault may
    be."""

    trains = False

    def train(self, chunk: Chunk) -> Array:
        self.trains = True
        try:
            return super().train(chunk)
        finally:
            self.trains = False

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        loss, gradients = super().loss_and_gradients(batch)
        if self.trains and batch.inputs.shape[0] * batch.inputs.shape[1] > ROWS:
            gradients["lstm.0.kernel"] *= 0.9
        return loss, gradients


# --- How a fault becomes a backend ----------------------------------------------------------------------------


def fault(build: Callable[..., Any], name: str = "") -> Fault:
    """The backend that builds its trainers so, of the function's name or another."""
    name = name or build.__name__
    return Fault(name, {"idiomatic": f"{__name__}.{name}"}, (__name__,), build=build)


def builds(trainer: type[Any], name: str) -> Fault:
    """The backend of these trainers, which take a group where they have one."""

    def build_alone(
        model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
    ) -> Any:
        return trainer(model, optimizer, parameters)

    def build_rank(*arguments: Any, device: str, precision: str, group: Group | None = None) -> Any:
        rank = trainer(*arguments)
        rank.group = group
        return rank

    return fault(build_rank if hasattr(trainer, "group") else build_alone, name)


def replaces(method: str, of: type[Any] = LinearTrainer) -> Callable[[Callable[..., Any]], Fault]:
    """Make the backend of a function's name: its trainers are `of` a class, with the function for one method."""
    return lambda function: builds(type("FaultyTrainer", (of,), {method: function}), function.__name__)


# --- Backends that keep the contract --------------------------------------------------------------------------

linear = builds(LinearTrainer, "linear")
together = builds(RankTrainer, "together")
resumable = builds(ResumableTrainer, "resumable")
crowded = builds(CrowdedTrainer, "crowded")


@replaces("train")
def slow(self: LinearTrainer, chunk: Chunk) -> Array:
    """Takes its time: 0.3 s a call."""
    time.sleep(0.3)
    return LinearTrainer.train(self, chunk)


@fault
def stateless(*arguments: Any, **options: Any) -> Any:
    """The NumPy reference with nothing but what a trainer has to have."""
    trainer = reference.build(*arguments, **options)
    return SimpleNamespace(**{name: getattr(trainer, name) for name in REQUIRED})


@fault
def interrupted(*arguments: Any, **options: Any) -> InterruptedTrainer:
    """Trains as the backend and the implementation that WRAPPED names, with a space between, until it is killed."""
    name, implementation = os.environ["WRAPPED"].split()
    return InterruptedTrainer(find_backend(name).load(implementation).build(*arguments, **options))


@replaces("train", of=ReferenceTrainer)
def held(self: ReferenceTrainer, chunk: Chunk) -> Array:
    """The NumPy reference, which stops after HOLD_AFTER steps for as long as the folder HELD_IN holds a file named
    hold."""
    hold(int(self.state()["optimizer.step"]))
    return ReferenceTrainer.train(self, chunk)


@replaces("train", of=RankTrainer)
def held_together(self: RankTrainer, chunk: Chunk) -> Array:
    """Trains as one of several ranks, and stops as the backend named held does."""
    hold(self.steps)
    return RankTrainer.train(self, chunk)


def hold(steps: int) -> None:
    folder = Path(os.environ["HELD_IN"])
    while steps >= HOLD_AFTER and (folder / "hold").exists():
        (folder / "held").touch()
        time.sleep(0.05)


# --- Ends of the process, or of memory and disk ---------------------------------------------------------------


@replaces("train")
def raising(self: LinearTrainer, chunk: Chunk) -> Array:
    """Raises in training."""
    print("about to raise", file=sys.stderr)
    raise RuntimeError("the third layer\nis on fire")


@replaces("train")
def leaving(self: LinearTrainer, chunk: Chunk) -> Array:
    """Leaves by the exception that is no error."""
    sys.exit("I have had enough")


@replaces("train")
def silent(self: LinearTrainer, chunk: Chunk) -> Array:
    """Exits in training without a word."""
    os._exit(3)


@replaces("train")
def killed(self: LinearTrainer, chunk: Chunk) -> Array:
    """Is killed by a signal in training."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


@replaces("train")
def crashing(self: LinearTrainer, chunk: Chunk) -> Array:
    """Reads address 0 in training."""
    ctypes.string_at(0)
    raise AssertionError("unreachable")


@replaces("train")
def starving(self: LinearTrainer, chunk: Chunk) -> Array:
    """Runs out of memory."""
    print("allocating", file=sys.stderr)
    raise MemoryError("cannot allocate 3 TiB")


@replaces("train")
def hungry(self: LinearTrainer, chunk: Chunk) -> Array:
    """Asks for more memory than there is."""
    limit = 2**32
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    np.ones(2 * limit, np.int8)
    raise AssertionError("unreachable")


@replaces("train")
def writing(self: LinearTrainer, chunk: Chunk) -> Array:
    """Writes to a disk that is full."""
    with open("/dev/full", "w") as stream:
        stream.write("a checkpoint")
    return LinearTrainer.train(self, chunk)


@fault
def unable(model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str) -> Any:
    """Cannot do what it is asked for."""
    raise Unsupported(f"no {precision} on a full moon")


@replaces("train", of=ReferenceTrainer)
def narrow(self: ReferenceTrainer, chunk: Chunk) -> Array:
    """The NumPy reference, for batches of at most ROWS rows."""
    if chunk.inputs.shape[1] * chunk.inputs.shape[2] > ROWS:
        raise Unsupported(f"more than {ROWS} rows do not fit")
    return ReferenceTrainer.train(self, chunk)


# --- What it prints and sends ---------------------------------------------------------------------------------


@replaces("train")
def chatty(self: LinearTrainer, chunk: Chunk) -> Array:
    """Prints until the disk is full, if it is let."""
    while True:
        sys.stdout.write("as I was saying\n" * 2**16)


@replaces("train")
def noisy(self: LinearTrainer, chunk: Chunk) -> Array:
    """Prints what no table should hold, then raises with more of it."""
    sys.stdout.buffer.write(b"\x1b[31mred\x1b[0m \xff\x00 <script>alert(1)</script>\n")
    sys.stdout.flush()
    raise RuntimeError("\x1b[2J ../../etc | <img src=x onerror=alert(2)>\ud800")


@replaces("train")
def talkative(self: LinearTrainer, chunk: Chunk) -> Array:
    """Prints what looks like a message of the protocol."""
    print(json.dumps({"body": {"kind": "done"}, "arrays": []}), flush=True)
    return LinearTrainer.train(self, chunk)


@replaces("train")
def forging(self: LinearTrainer, chunk: Chunk) -> Array:
    """Sends a result of its own making, with nothing in it."""
    body = {"kind": "trained", "status": "ok", "reason": None, "record": {}, "sources": {}}
    send(json.dumps({"body": body, "arrays": []}).encode() + b"\n")
    return LinearTrainer.train(self, chunk)


@replaces("train")
def garbling(self: LinearTrainer, chunk: Chunk) -> Array:
    """Writes bytes that are no message where the harness listens, and complains that nobody listens any more."""
    print("Traceback (most recent call last):\nBrokenPipeError: [Errno 32] Broken pipe", file=sys.stderr)
    send(b"\x00\xff{ not a message\n")
    return LinearTrainer.train(self, chunk)


@replaces("train")
def oversized(self: LinearTrainer, chunk: Chunk) -> Array:
    """Sends a message of which no end is in sight."""
    for _ in range(80):
        send(b"x" * 2**20)
    return LinearTrainer.train(self, chunk)


@replaces("train")
def reporting(self: LinearTrainer, chunk: Chunk) -> Array:
    """Reports progress without end and makes none."""
    body = {"kind": "progress", "step": 1, "loss": 0.5, "sequences_per_s": 1.0}
    message = {"body": body, "arrays": []}
    while True:
        send(json.dumps(message).encode() + b"\n")


@replaces("train")
def hanging_up(self: LinearTrainer, chunk: Chunk) -> Array:
    """Closes what it answers on and goes on as if nothing were."""
    os.close(int(sys.argv[1]))
    wait()


def send(content: bytes) -> None:
    """Write where the harness listens, all of it."""
    with open(int(sys.argv[1]), "wb", closefd=False) as stream:
        stream.write(content)


# --- What it computes -----------------------------------------------------------------------------------------

wide = builds(WideTrainer, "wide")


@replaces("train")
def diverging(self: LinearTrainer, chunk: Chunk) -> Array:
    """Its loss becomes NaN at the seventh step."""
    losses = LinearTrainer.train(self, chunk)
    steps = np.arange(self.steps - len(losses), self.steps) + 1
    return np.where(steps >= 7, np.nan, losses)


@replaces("train")
def forgetful(self: LinearTrainer, chunk: Chunk) -> Array:
    """Returns no losses, which would make training endless."""
    return LinearTrainer.train(self, chunk)[:0]


@replaces("predict")
def doubtful(self: LinearTrainer, inputs: Array) -> Array:
    """Its predictions are not finite."""
    return np.full_like(LinearTrainer.predict(self, inputs), np.nan)


@replaces("parameters")
def poisoned(self: LinearTrainer) -> Parameters:
    """Ends with a parameter that is not finite."""
    parameters = LinearTrainer.parameters(self)
    if self.steps:
        parameters["output.bias"] = np.full_like(parameters["output.bias"], np.inf)
    return parameters


@replaces("parameters")
def misshapen(self: LinearTrainer) -> Parameters:
    """Ends with a parameter of another shape."""
    parameters = LinearTrainer.parameters(self)
    if self.steps:
        parameters["output.bias"] = np.zeros(len(parameters["output.bias"]) + 1, np.float32)
    return parameters


@replaces("peak_memory_bytes", of=ReferenceTrainer)
def immeasurable(self: ReferenceTrainer) -> float:
    """The NumPy reference, which tells of its memory what JSON cannot hold."""
    return float("nan")


@replaces("train")
def untimely(self: LinearTrainer, chunk: Chunk) -> Array:
    """Trains while somebody sets the machine's clock back by an hour."""
    time.time = lambda: true_time() - 3600
    return LinearTrainer.train(self, chunk)


@replaces("train")
def weighty(self: LinearTrainer, chunk: Chunk) -> Array:
    """Holds WEIGHT_BYTES from its first call on, and works and sleeps for WORK_S each in every call."""
    if not self.steps:
        vars(self)["weight"] = np.ones(WEIGHT_BYTES, np.uint8)
    begun_s = time.process_time()
    while time.process_time() - begun_s < WORK_S:
        pass
    time.sleep(WORK_S)
    return LinearTrainer.train(self, chunk)


# --- What does not end, or strays -----------------------------------------------------------------------------


@replaces("train")
def hanging(self: LinearTrainer, chunk: Chunk) -> Array:
    """Never returns from training, ignores TERM, and has a child that does neither."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", STAYING])
    print(f"child {child.pid}", flush=True)
    wait()


@replaces("train")
def waiting(self: LinearTrainer, chunk: Chunk) -> Array:
    """Waits for ever in training, once a run of the tests has begun."""
    if has_begun(self, chunk):
        print("waiting", flush=True)
        wait()
    return LinearTrainer.train(self, chunk)


@replaces("train")
def stubborn(self: LinearTrainer, chunk: Chunk) -> Array:
    """Waits as `waiting` does, and only takes note of TERM."""

    def take_note(number: int, frame: FrameType | None) -> None:
        print("heard TERM", flush=True)

    if has_begun(self, chunk):
        signal.signal(signal.SIGTERM, take_note)
        print("stubborn", flush=True)
        wait()
    return LinearTrainer.train(self, chunk)


@replaces("train")
def numb(self: LinearTrainer, chunk: Chunk) -> Array:
    """Once a run of the tests has begun, starts a child and waits in native code, without ever letting another thread
    of Python run."""
    if not has_begun(self, chunk):
        return LinearTrainer.train(self, chunk)
    subprocess.Popen([sys.executable, "-c", STAYING])
    print("numb", flush=True)
    ctypes.PyDLL(None).pause()
    raise AssertionError("unreachable")


@replaces("loss_and_gradients", of=RankTrainer)
def absorbed(self: RankTrainer, batch: Batch) -> tuple[float, Parameters]:
    """Computes for ever in native code, heeds no TERM, and leaves a file in ABSORBED_IN."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(os.environ["ABSORBED_IN"], str(os.getpid())).touch()
    ctypes.PyDLL(None).pause()
    raise AssertionError("unreachable")


@replaces("train")
def littering(self: LinearTrainer, chunk: Chunk) -> Array:
    """Trains well, and leaves processes behind that try to get away."""
    for code in (STAYING, FLEEING):
        subprocess.Popen([sys.executable, "-c", code])
    return LinearTrainer.train(self, chunk)


@replaces("train")
def straying(self: LinearTrainer, chunk: Chunk) -> Array:
    """Starts a thread that takes every processor there is, as a library does that places its own threads."""
    placed = threading.Event()

    def stray() -> None:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        placed.set()
        threading.Event().wait()

    if not self.steps:
        threading.Thread(target=stray, daemon=True).start()
        placed.wait()
    return LinearTrainer.train(self, chunk)


def has_begun(trainer: LinearTrainer, chunk: Chunk) -> bool:
    """Whether this is a later call with a batch of four, which a run of the tests has and no proof."""
    return chunk.inputs.shape[1] == 4 and trainer.steps > 0


def wait() -> Any:
    while True:
        time.sleep(1)


# --- Ranks ----------------------------------------------------------------------------------------------------


@replaces("train", of=RankTrainer)
def deserting(self: RankTrainer, chunk: Chunk) -> Array:
    """The second rank is killed while it trains, and the first waits for it without end."""
    if self.group is None:
        return LinearTrainer.train(self, chunk)
    if self.group.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()
    raise AssertionError("unreachable")


@replaces("parameters", of=RankTrainer)
def disagreeing(self: RankTrainer) -> Parameters:
    """The second rank ends with parameters of its own."""
    shift = self.group.rank if self.group else 0
    return {name: array + shift for name, array in LinearTrainer.parameters(self).items()}


@fault
def stranded(*arguments: Any, device: str, precision: str, group: Group | None = None) -> RankTrainer:
    """The second rank never comes to where the ranks meet."""
    if group and group.rank == 1:
        threading.Event().wait()
    return RankTrainer(*arguments)
