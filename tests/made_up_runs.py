"""A synthetic run's folder: records as the harness writes them, made with NumPy, without training anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from harness.records.schema import SCHEMA_VERSION

Record = dict[str, Any]
BITS, MAX_LENGTH, BATCH = 8, 5, 16
FLOOR = 0.0072
TEST = {"sequences": 100, "original_loss": 0.0081, "original_loss_floor": 0.0069, "cross_entropy_floor": FLOOR}
TEST |= {"mean_absolute_error": 0.002, "wrong_bits_per_sequence": 0.5}
LENGTH = {"sequences": 100, "exact_fraction": 1.0, "bits_per_sequence": 0.3, "mean_absolute_error": 0.1}


def make_name(backend: str, implementation: str = "idiomatic", seed: int = 0, repeat: int = 0) -> str:
    return f"{backend}-{implementation}-float32-seed{seed}-r{repeat}"


def make_failure(backend: str, status: str, reason: str, **changes: Any) -> Record:
    """A record that got no farther than its identity, a status and a reason."""
    identity = {"backend": backend, "implementation": "idiomatic", "seed": 0, "repeat": 0} | changes
    name = make_name(**{key: identity[key] for key in ("backend", "implementation", "seed", "repeat")})
    outcome = {"status": status, "reason": reason, "verified": None}
    return {"schema_version": SCHEMA_VERSION, "cell": name, "precision": "float32", **outcome, **identity}


def make_record(
    backend: str,
    *,
    step_s: float = 0.01,
    n_steps: int = 41,
    noise: float = 0.0,
    lengths: tuple[int, ...] = (1, 2, 5, 10),
    copies: tuple[int, ...] = (3, 10),
    **changes: Any,
) -> Record:
    """An ok record: one slow first step, then chunks of ten steps that take about step_s a step."""
    record = make_failure(backend, "ok", "", **changes)
    generator = np.random.default_rng([record["seed"], len(backend)])
    return record | {
        "reason": None,
        "verified": True,
        "device": "cpu",
        "n_parameters": 335_112,
        "settings": {"threads": 2},
        "timeline": _timeline(),
        "losses": _losses(n_steps, record["seed"], noise),
        "chunks": _chunks(n_steps, step_s, generator),
        "evaluation": _evaluation(lengths, copies, generator),
        "peak_memory_bytes": None,
        **changes,
    }


def complete(record: Record) -> Record:
    """The record with what a test that wrote a part of it by hand has no need to say."""
    whole, chunks, evaluation = dict(record), record.get("chunks"), record.get("evaluation")
    if chunks and "train_s" in chunks:
        whole["chunks"] = _columns(chunks["steps"], chunks["train_s"], [0.0] * len(chunks["steps"])) | chunks
    if evaluation:
        lengths = [LENGTH | measured for measured in evaluation.get("lengths", [])]
        whole["evaluation"] = (
            {"copies": []} | evaluation | {"test": TEST | evaluation.get("test", {}), "lengths": lengths}
        )
    return whole


def make_repeats(backend: str, *, step_s: float, n: int = 8, first: int = 0, **changes: Any) -> list[Record]:
    """Records of n processes with steady steps; what each repeat adds in drift is the same for every backend."""
    generator = np.random.default_rng([len(backend), int(1e6 * step_s), first])
    return [
        make_record(
            backend,
            repeat=first + repeat,
            chunks=make_chunks([step_s * (1 + 0.01 * repeat) * generator.uniform(0.995, 1.005)] * 12),
            **changes,
        )
        for repeat in range(n)
    ]


def make_chunks(steps_s: list[float], data_s: float = 0.0) -> Record:
    """A slow first step, then a call of ten steps for each of the given seconds a step."""
    train_s = [0.6, *(10 * step_s for step_s in steps_s)]
    return _columns([1] + [10] * len(steps_s), train_s, [data_s] * len(train_s))


def _columns(steps: list[int], train_s: list[float], data_s: list[float]) -> Record:
    """Calls of sequences of the longest trained length, of which the first is left out of the steady state."""
    first = [place == 0 for place in range(len(steps))]
    return {
        "steps": steps,
        "train_s": train_s,
        "data_s": data_s,
        "elapsed_s": np.cumsum(np.add(train_s, data_s)).tolist(),
        "warmup": first,
        "time_steps": [2 * MAX_LENGTH + 2] * len(steps),
        "pause_s": [0.0] * len(steps),
        "first": first,
    }


def make_inference(*, batch_s: float = 0.1, single_s: float = 0.001) -> Record:
    """Calls of the trained network: ten with many sequences and two hundred with one, each as long as the others."""
    calls = {"batch_s": [batch_s] * 10, "single_s": [single_s] * 200}
    return {"length": MAX_LENGTH, "batch": 256, "warmup_s": 0.5, **calls}


def make_product(seconds: float, **changes: Any) -> Record:
    """A sample of the ceiling: (16 x 128)(128 x 512) by torch on the CPU, 2,097,152 operations."""
    shape = {"m": 16, "k": 128, "n": 512}
    where = {"after": None, "backend": "torch", "way": "torch.mm"}
    where |= {"precision": "float32", "device": "cpu"}
    return {**where, **shape, "seconds": seconds, "calls": 50} | changes


def write_run(
    folder: Path,
    records: list[Record],
    *,
    unrecorded: tuple[str, ...] = (),
    products: list[Record] | None = None,
    **changes: Any,
) -> Path:
    """Write run.json, the cells and, where there are products, the ceiling; `unrecorded` are cells without a record."""
    cells = folder / "cells"
    cells.mkdir(parents=True)
    for record in records:
        (cells / f"{record['cell']}.json").write_text(json.dumps(complete(record)), "utf-8")
    run = make_run_file([record["cell"] for record in records] + list(unrecorded)) | changes
    (folder / "run.json").write_text(json.dumps(run), "utf-8")
    if products is not None:
        (folder / "ceiling.json").write_text(
            json.dumps({"schema_version": SCHEMA_VERSION, "samples": products}), "utf-8"
        )
    return folder


def make_run_file(cells: list[str]) -> Record:
    optimizer = {"kind": "adam", "learning_rate": 0.003, "clip": "norm", "clip_value": 1.0}
    return {
        "schema_version": SCHEMA_VERSION,
        "created": "2026-11-23T21:00:00Z",
        "preset": "quick",
        "command": "python -m harness run --backend all --preset quick",
        "configuration": {
            "task": {"bits": BITS, "min_length": 1, "max_length": MAX_LENGTH},
            "model": {"layers": 3, "hidden": 128},
            "optimizer": optimizer,
            "train": {"batch": BATCH, "steps": 41},
            "evaluate": {"lengths": [1, 2, 5, 10], "sequences": 100},
        },
        "environment": {"cpu": "Imaginary CPU", "python": "3.11.9", "packages": {"numpy": "2.4.6"}},
        "cells": cells,
    }


def _timeline() -> Record:
    stages = {"spawn_s": 0.1, "import_s": 2.0, "build_s": 0.3, "first_step_s": 0.6, "steady_s": 4.0}
    return stages | {"data_s": 0.2, "evaluation_s": 0.5, "other_s": 0.1, "total_s": 7.8}


def _losses(n_steps: int, seed: int, noise: float) -> list[float]:
    step = np.arange(n_steps)
    curve = FLOOR + 0.69 * np.exp(-6 * step / n_steps) * np.random.default_rng(seed).uniform(0.8, 1.2, n_steps)
    return (curve * (1 + noise * step / n_steps)).tolist()


def _chunks(n_steps: int, step_s: float, generator: np.random.Generator) -> Record:
    steps = [1] + [10] * ((n_steps - 1) // 10)
    train_s = [0.6] + (10 * step_s * generator.uniform(0.9, 1.3, len(steps) - 1)).tolist()
    return _columns(steps, train_s, [0.001] * len(steps))


def _evaluation(lengths: tuple[int, ...], copies: tuple[int, ...], generator: np.random.Generator) -> Record:
    return {
        "test": dict(TEST),
        "lengths": [_length(length, generator) for length in lengths],
        "copies": [_copy(length, generator) for length in copies],
    }


def _length(length: int, generator: np.random.Generator) -> Record:
    n_bits = 100 * length * BITS
    chance = min(0.5, max(0.0, 0.0025 * (length - 2) ** 1.5)) if length > 2 else 0.0
    wrong = int(generator.binomial(n_bits, chance))
    measures = {"wrong_bits": wrong, "bit_error": wrong / n_bits, "exact_fraction": (1 - chance) ** (8 * length)}
    return {
        "length": length,
        "sequences": 100,
        **measures,
        "bits_per_sequence": 0.3 * length,
        "mean_absolute_error": 0.1,
    }


def _copy(length: int, generator: np.random.Generator) -> Record:
    pattern = generator.integers(0, 2, (length, BITS)).astype(float)
    target = np.full((2 * length + 2, BITS), 0.001)
    target[length + 2 :] = np.maximum(pattern, 0.001)
    noise = generator.uniform(-1, 1, target.shape) * np.linspace(0, length / 40, len(target))[:, None]
    prediction = np.clip(target + noise * (target > 0.5) + 0.4 * np.abs(noise), 0, 1)
    return {"length": length, "inputs": [], "target": target.tolist(), "prediction": prediction.tolist()}


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def failure() -> Callable[..., Record]:
    return make_failure


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a run of the given records and returns its folder."""
    return lambda *records, name="run", **changes: write_run(tmp_path / name, list(records), **changes)


def write_mixed_run(folder: Path) -> Path:
    return write_run(
        folder,
        [
            make_record("torch", step_s=0.01),
            make_record("jax", step_s=0.02, noise=0.01),
            make_record("tensorflow", step_s=0.005, verified=False),
            make_failure("mxnet", "not_installed", "install the extra mxnet"),
        ],
        unrecorded=(make_name("theano"),),
    )


@pytest.fixture
def mixed_run(tmp_path: Path) -> Path:
    """Three backends of which one is not verified, one that is not installed and one without a record."""
    return write_mixed_run(tmp_path / "run")


def write_repeated_run(folder: Path) -> Path:
    return write_run(
        folder,
        [
            *make_repeats("torch", implementation="tuned", step_s=0.010),
            *make_repeats("torch", step_s=0.013),
            *make_repeats("jax", step_s=0.010),
            *make_repeats("torch", implementation="tuned", step_s=0.010, first=8),
        ],
        products=[make_product(2 * 16 * 128 * 512 / 200e9)],
        a_a={"backend": "torch", "implementation": "tuned", "precision": "float32", "first_repeat": 8},
    )


@pytest.fixture
def repeated_run(tmp_path: Path) -> Path:
    """Eight interleaved repeats: torch tuned and jax as fast as each other, torch idiomatic slower; with an A/A pair
    of torch tuned and a ceiling of 200 GFLOP/s."""
    return write_repeated_run(tmp_path / "run")


@pytest.fixture(scope="session")
def reported_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with its report, which takes seconds to write: to be read alone."""
    # Whoever tests no report need not wait for matplotlib.
    from harness.report import write_report

    folder = write_repeated_run(tmp_path_factory.mktemp("reported") / "run")
    write_report(folder)
    return folder


@pytest.fixture
def above_the_ceiling(run_folder: Callable[..., Path]) -> Path:
    """torch with 117 % of the ceiling and jax with half of that."""
    steps_s = {"torch": 0.010, "jax": 0.020}
    # An operation for a multiplication and one for an addition, three times for the two passes.
    gflop_per_s = 6 * 335_112 * BATCH * (2 * MAX_LENGTH + 2) / steps_s["torch"] / 1e9
    return run_folder(
        *(make_record(name, chunks=make_chunks([step_s] * 12)) for name, step_s in steps_s.items()),
        products=[make_product(2 * 16 * 128 * 512 / (gflop_per_s / 1.17 * 1e9))],
    )


@pytest.fixture
def repeats() -> Callable[..., list[Record]]:
    return make_repeats


@pytest.fixture
def chunks() -> Callable[..., Record]:
    return make_chunks


@pytest.fixture
def product() -> Callable[..., Record]:
    return make_product


@pytest.fixture
def console() -> Console:
    """A console that is no terminal and wider than what it may be given."""
    return Console(width=200, file=StringIO())


def make_evaluation(step: int, wrong_bits: float) -> Record:
    measured = {"original_loss": 0.0075, "wrong_bits_per_sequence": wrong_bits}
    return {"step": step, "sequences": 16 * step, "elapsed_s": step / 10, **measured}


def make_arriving(backend: str, at_step: int | None, **changes: Any) -> Record:
    """A record whose evaluations meet the target at that step, if at all."""
    evaluations = [
        make_evaluation(step, 0.0 if at_step is not None and step >= at_step else 5.0) for step in (100, 200, 300)
    ]
    reached = next((item for item in evaluations if item["wrong_bits_per_sequence"] == 0.0), None)
    return make_record(backend, **changes) | {"evaluations": evaluations, "target_reached": reached}


def write_aimed_run(folder: Path, *cells: tuple[str, int, int | None], extra: tuple[Record, ...] = ()) -> Path:
    """A run with a target, of records as make_arriving makes them: backend, seed, step."""
    write_run(folder, [*(make_arriving(backend, step, seed=seed) for backend, seed, step in cells), *extra])
    description = json.loads((folder / "run.json").read_text())
    description["configuration"]["target"] = {"original_loss": 0.008, "wrong_bits_per_sequence": 0.1}
    description["configuration"]["train"]["evaluate_every"] = 100
    (folder / "run.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def arriving() -> Callable[..., Record]:
    return make_arriving


@pytest.fixture
def aimed_run(tmp_path: Path) -> Callable[..., Path]:
    return partial(write_aimed_run, tmp_path / "run")
