"""The jobs a worker can be asked for: describe a backend, train a cell, predict, observe for verify, or time matrix
products for the ceiling."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec
import numpy as np

from backends import contract, find_backend
from backends.contract import Parameters
from harness.cells.ceiling import time_products
from harness.cells.context import Context
from harness.cells.group import CONNECTED, STARTED, tell_phase
from harness.cells.requests import Describe, Job, Predict, Request, TimeProducts, Train, Verify
from harness.cells.training import total_s, train_cell
from harness.machine.provenance import loaded_sources
from harness.proof.calls import TrainingCall
from harness.proof.cases import Case
from harness.proof.observation import observe
from harness.records.messages import (
    Described,
    Done,
    Observation,
    Timed,
    Trained,
    Unsupported,
    read_arrays,
    tell,
    write_message,
)
from harness.records.structs import Measured


class Incomplete(Exception):
    """A job that failed, with what it had measured until then; its cause is what went wrong."""

    def __init__(self, measured: Measured) -> None:
        super().__init__("the job failed")
        self.measured = measured


def do(line: bytes, payload: bytes, stream: BinaryIO) -> None:
    """`line` is a Request, `payload` its arrays. Raises whatever the backend raises, or Incomplete because of it."""
    request = msgspec.json.decode(line, type=Request)
    # Copied, because frameworks complain of arrays that cannot be written to.
    arrays = {name: array.copy() for name, array in read_arrays(io.BytesIO(payload), request.arrays).items()}
    JOBS[type(request.job)](request.job, Context(request.placement, arrays, stream))


def describe(job: Describe, context: Context) -> None:
    """Build the model and tell its size and its settings."""
    config = job.configuration
    trainer = (
        find_backend(job.backend)
        .load(job.implementation)
        .build(
            config.model_spec(),
            config.optimizer,
            config.initial_parameters(0),
            device=context.placement.device,
            precision=job.precision,
        )
    )
    n_parameters = sum(array.size for array in trainer.parameters().values())
    write_message(context.stream, Described(n_parameters, trainer.settings()))


def train(job: Train, context: Context) -> None:
    """Import, build, train and evaluate; the record says how long each took."""
    record = Measured(status="ok", timeline={"spawn_s": time.monotonic() - context.placement.spawned_at_s})
    try:
        backend = find_backend(job.backend)
        parameters = measure(job, context, record)
        message = Trained(record.status, record.reason, tell(record), loaded_sources(backend))
        write_message(context.stream, message, parameters)
    except Exception as error:
        raise Incomplete(record) from error


def measure(job: Train, context: Context, record: Measured) -> Parameters:
    """Fill `record` as far as it goes and return the final parameters."""
    assert record.timeline is not None
    timeline = record.timeline
    begun_s = time.perf_counter()
    implementation = find_backend(job.backend).load(job.implementation)
    timeline["import_s"] = time.perf_counter() - begun_s
    parameters = train_cell(implementation, job, context, record)
    timeline["total_s"] = total_s(job, context.placement)
    timeline["other_s"] = timeline["total_s"] - sum(timeline[part] for part in timeline if part != "total_s")
    return parameters


def verify(job: Verify, context: Context) -> None:
    """Observe case by case. Each is sent as it is done, so that a later one that crashes takes none with it."""
    implementation = find_backend(job.backend).load(job.implementation)
    if job.group is not None:
        tell_phase(context.stream, STARTED)
    for precision, cases in job.cases.items():
        every: list[Case | TrainingCall] = [*cases, *job.calls.get(precision, [])]
        for case in every:
            device = context.placement.device
            try:
                observed = observe(implementation, case, device=device, precision=precision, group=job.group)
            except contract.Unsupported as reason:
                why = " ".join(str(reason).split())
                write_message(context.stream, Unsupported(case.name, precision, why))
            else:
                if job.group is not None:
                    tell_phase(context.stream, CONNECTED)
                write_message(context.stream, Observation(case.name, precision), observed)
    write_message(context.stream, Done())


def predict(job: Predict, context: Context) -> None:
    """The probabilities (time, bits) of one held-out sequence of each length, from the parameters that came along; the
    arrays are named by length."""
    config = job.configuration
    trainer = (
        find_backend(job.backend)
        .load(job.implementation)
        .build(
            config.model_spec(),
            config.optimizer,
            context.arrays,
            device=context.placement.device,
            precision=job.precision,
        )
    )
    predicted = {}
    for length in job.lengths:
        batch = config.task.evaluation_batch(seed=job.sequence_seed, length=length, size=1)
        predicted[str(length)] = config.task.bits_of(trainer.predict(batch.inputs))[0]
    if not all(np.isfinite(array).all() for array in predicted.values()):
        raise FloatingPointError("the predictions are not finite")
    write_message(context.stream, Done(), predicted)


def time_all(job: TimeProducts, context: Context) -> None:
    """Time the backend's own matrix products, of the shapes that a training step is made of."""
    device, backend = context.placement.device, find_backend(job.backend)
    samples = time_products(backend, job.configuration, device=device, precisions=job.precisions)
    write_message(context.stream, Timed(list(samples)))


JOBS: dict[type[Job], Callable[[Any, Context], None]] = {
    Describe: describe,
    Train: train,
    Verify: verify,
    Predict: predict,
    TimeProducts: time_all,
}
