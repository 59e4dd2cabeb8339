"""The jobs a worker can be asked for, by name: describe a backend, train a cell, predict, or observe for verify."""

from __future__ import annotations

import io
import time
from typing import Any, BinaryIO

import numpy as np

from backends import find_backend
from backends.contract import Parameters, Unsupported
from harness.ceiling import measure_ceiling
from harness.config import RunConfig
from harness.group import ARRIVED, MET, read_group, tell_phase
from harness.protocol import read_arrays, write_message
from harness.provenance import loaded_sources
from harness.training import total_s, train_cell
from harness.verification.observation import observe, read_case


class Incomplete(Exception):
    """A job that failed, with what it had measured until then; its cause is what went wrong."""

    def __init__(self, measured: dict[str, Any]) -> None:
        super().__init__("the job failed")
        self.measured = measured


def do(request: dict[str, Any], stream: BinaryIO, started_s: float, payload: bytes = b"") -> None:
    """`payload` holds the arrays that the request lists. Raises whatever the backend raises, or Incomplete because of
    it."""
    # Copied, because frameworks complain of arrays that cannot be written to.
    arrays = {name: array.copy() for name, array in read_arrays(io.BytesIO(payload), request.get("arrays", [])).items()}
    JOBS[request["job"]]({**request, "arrays": arrays}, stream, started_s)


def describe(request: dict[str, Any], stream: BinaryIO, started_s: float) -> None:
    """Build the model and tell its size, its settings and the devices the framework sees."""
    implementation = find_backend(request["backend"]).load(request["implementation"])
    config = RunConfig.from_dict(request["configuration"])
    trainer = implementation.build(
        config.model_spec(),
        config.optimizer,
        config.initial_parameters(0),
        device=request["device"],
        precision=request["precision"],
    )
    n_parameters = sum(array.size for array in trainer.parameters().values())
    write_message(stream, "result", {"n_parameters": n_parameters, "settings": trainer.settings()})


def train(request: dict[str, Any], stream: BinaryIO, started_s: float) -> None:
    """Import, build, train and evaluate, then measure the ceiling; the record says how long each took."""
    record: dict[str, Any] = {"status": "ok", "timeline": {"spawn_s": time.time() - request["spawned_at"]}}
    try:
        parameters = measure(request, record, stream)
    except Exception as error:
        raise Incomplete(record) from error
    write_message(stream, "result", record, parameters)


def measure(request: dict[str, Any], record: dict[str, Any], stream: BinaryIO) -> Parameters:
    """Fill `record` as far as it goes and return the final parameters."""
    backend, timeline = find_backend(request["backend"]), record["timeline"]
    begun_s = time.perf_counter()
    implementation = backend.load(request["implementation"])
    timeline["import_s"] = time.perf_counter() - begun_s
    parameters = train_cell(implementation, request, record, stream)
    measured_s = time.perf_counter()
    record["ceiling"] = measure_ceiling(
        backend,
        RunConfig.from_dict(request["configuration"]),
        device=record["device"],
        precision=request["precision"],
    )
    timeline["ceiling_s"] = time.perf_counter() - measured_s
    record["sources"] = loaded_sources(backend)
    timeline["total_s"] = total_s(request)
    timeline["other_s"] = timeline["total_s"] - sum(timeline[part] for part in timeline if part != "total_s")
    return parameters


def verify(request: dict[str, Any], stream: BinaryIO, started_s: float) -> None:
    """Observe case by case. Each is sent as it is done, so that a later one that crashes takes none with it."""
    implementation = find_backend(request["backend"]).load(request["implementation"])
    group = read_group(request)
    if group is not None:
        tell_phase(stream, ARRIVED)
    for precision, cases in request["cases"].items():
        for case in map(read_case, cases):
            about = {"case": case.name, "precision": precision}
            try:
                observed = observe(implementation, case, device=request["device"], precision=precision, group=group)
            except Unsupported as reason:
                write_message(stream, "unsupported", {**about, "reason": " ".join(str(reason).split())})
            else:
                if group is not None:
                    tell_phase(stream, MET)
                write_message(stream, "observation", about, observed)
    write_message(stream, "result", {})


def predict(request: dict[str, Any], stream: BinaryIO, started_s: float) -> None:
    """The probabilities (time, bits) of one held-out sequence of each length, from the request's parameters; the arrays
    are named by length."""
    implementation = find_backend(request["backend"]).load(request["implementation"])
    config = RunConfig.from_dict(request["configuration"])
    placed = {"device": request["device"], "precision": request["precision"]}
    trainer = implementation.build(config.model_spec(), config.optimizer, request["arrays"], **placed)
    predicted = {}
    for length in request["lengths"]:
        batch = config.task.evaluation_batch(seed=request["sequence_seed"], length=length, size=1)
        predicted[str(length)] = config.task.bits_of(trainer.predict(batch.inputs))[0]
    if not all(np.isfinite(array).all() for array in predicted.values()):
        raise FloatingPointError("the predictions are not finite")
    write_message(stream, "result", {"settings": trainer.settings()}, predicted)


JOBS = {"describe": describe, "train": train, "predict": predict, "verify": verify}
