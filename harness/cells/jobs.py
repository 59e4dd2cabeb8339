"""The jobs a worker can be asked for, by name: describe a backend, train a cell, predict, observe for verify, or time
matrix products for the ceiling."""

from __future__ import annotations

import io
import time
from typing import Any, BinaryIO

import numpy as np

from backends import find_backend
from backends.contract import Parameters, Unsupported
from harness.cells.ceiling import time_products
from harness.cells.group import ARRIVED, MET, read_group, tell_phase
from harness.cells.training import total_s, train_cell
from harness.machine.provenance import loaded_sources
from harness.proof.observation import observe, read_case
from harness.records.messages import read_arrays, write_message
from harness.task.recipe import RunConfig


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
    """Import, build, train and evaluate; the record says how long each took."""
    record: dict[str, Any] = {"status": "ok", "timeline": {"spawn_s": time.monotonic() - request["spawned_at"]}}
    try:
        write_message(stream, "result", record, measure(request, record, stream))
    except Exception as error:
        raise Incomplete(record) from error


def measure(request: dict[str, Any], record: dict[str, Any], stream: BinaryIO) -> Parameters:
    """Fill `record` as far as it goes and return the final parameters."""
    backend, timeline = find_backend(request["backend"]), record["timeline"]
    begun_s = time.perf_counter()
    implementation = backend.load(request["implementation"])
    timeline["import_s"] = time.perf_counter() - begun_s
    parameters = train_cell(implementation, request, record, stream)
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


def ceiling(request: dict[str, Any], stream: BinaryIO, started_s: float) -> None:
    """Time the backend's own matrix products, of the shapes that a training step is made of."""
    backend, config = find_backend(request["backend"]), RunConfig.from_dict(request["configuration"])
    samples = time_products(backend, config, device=request["device"], precisions=request["precisions"])
    write_message(stream, "result", {"samples": list(samples)})


JOBS = {"describe": describe, "train": train, "predict": predict, "verify": verify, "ceiling": ceiling}
