"""The proof that a run makes before it times anything, remembered until something changes.

One small case has the run's optimiser, depth and wiring; then the run's own network is trained at each of its shapes.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from backends import Backend
from backends.contract import ModelSpec, OptimizerSpec
from harness.machine import cpu_model
from harness.machine.gpu import describe_gpus
from harness.machine.processor import describe_processor
from harness.machine.provenance import code_digest
from harness.machine.software import versions as installed_versions
from harness.machine.variables import describe_variables
from harness.processes.process import Resources, worker_environment
from harness.processes.proof import Proof, prove
from harness.proof.calls import TrainingCall, choose_calls
from harness.proof.cases import CLIP_VALUES, Case, divisible
from harness.proof.table import make_rows
from harness.proof.tolerances import PRECISIONS
from harness.records.durable import write_json
from harness.records.schema import digest
from harness.records.structs import Verification
from harness.task.recipe import RunConfig

# What compiling and the small case may take, and how many times what the reference takes for the calls.
TIMEOUT_S, PATIENCE = 300.0, 5.0
CACHE_FOLDER = "lstm-copy-benchmark"

Cases = Sequence[Case | TrainingCall]


def choose_run_cases(config: RunConfig, seeds: Sequence[int], ranks: int) -> Cases:
    """What is proven of a run: the small case on a batch that the ranks divide, and the run's own calls."""
    return [divisible(brief_case(config.optimizer, config.model_spec()), ranks), *choose_calls(config, seeds)]


def verify_brief(
    backend: Backend, implementation: str, precision: str, resources: Resources, cases: Cases
) -> Verification:
    """Compare the cases with the oracle. Never raises for what the backend does."""
    if unknown := refuse_precision(backend, implementation, precision):
        return unknown
    path = cache_path(backend, implementation, precision, resources, cases)
    if remembered := read_verdict(path):
        return remembered
    proof = prove(backend, implementation, {precision: cases}, limit_time(resources, cases))
    verdict = sum_up(proof, precision)
    # A process that died may do better next time; what it computed will not change.
    if proof.status == "ok" and proof.deviations:
        remember(path, verdict)
    return verdict


def limit_time(resources: Resources, cases: Cases) -> Resources:
    """The resources for a proof of these cases."""
    reference_s = sum(case.reference_s for case in cases if isinstance(case, TrainingCall))
    return replace(resources, timeout_s=min(resources.timeout_s, TIMEOUT_S + PATIENCE * reference_s))


def refuse_precision(backend: Backend, implementation: str, precision: str) -> Verification | None:
    """The verdict on a precision that no proof knows."""
    if precision in PRECISIONS:
        return None
    reason = f"no tolerance is set for {precision}: verify knows {', '.join(PRECISIONS)}"
    return sum_up(Proof(backend.name, implementation, "ok", unsupported=[reason]), precision)


def sum_up(proof: Proof, precision: str) -> Verification:
    """The verdict that a proof is. What could not be computed at the run's own size is not verified."""
    reason = proof.failure() or "; ".join(proof.unsupported) or None
    return Verification(
        backend=proof.backend,
        implementation=proof.implementation,
        precision=precision,
        verified=reason is None,
        reason=reason,
        worst=make_rows(proof.deviations),
    )


def brief_case(optimizer: OptimizerSpec, model: ModelSpec) -> Case:
    """The run's depth and wiring in small, and its optimiser, with a clip value that bites on this small network."""
    clipped = replace(optimizer, clip_value=CLIP_VALUES[optimizer.clip])
    return Case("brief", model.layers, clipped, True, (1, 10), model.wiring)


def read_verdict(path: Path) -> Verification | None:
    """The verdict in a file; None where there is none or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verification)
    except (OSError, ValueError, RecursionError):
        return None


def remember(path: Path, verdict: Verification) -> None:
    # Without a place to write, the next run verifies again.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, msgspec.to_builtins(verdict))


def cache_path(backend: Backend, implementation: str, precision: str, resources: Resources, cases: Cases) -> Path:
    """One file for everything that decides the verdict: code, versions, processors, variables, and what is asked."""
    facts = {
        "module": backend.implementations[implementation],
        "code": code_digest(backend),
        "python": platform.python_version(),
        # All of them: what a framework computes with is in distributions of other names, as jaxlib or nvidia-cudnn.
        "versions": installed_versions(),
        "variables": describe_variables(worker_environment(backend, resources)),
        "processor": [platform.machine(), cpu_model(), describe_processor()["instruction_sets"]],
        "device": describe_device(resources.device),
        "threads": resources.threads,
        "ranks": resources.ranks,
        "precision": precision,
        "cases": msgspec.to_builtins(cases),
    }
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # A user may have neither a home nor a name; below /dev/null nothing is remembered.
    home = os.devnull if home.startswith("~") else home
    return Path(home) / CACHE_FOLDER / "verdicts" / f"{digest(facts)}.json"


def describe_device(device: str) -> list[Any]:
    """What "auto", "cpu" or "cuda[:N]" stands for here, as far as it can be known without a framework: the device and
    the GPUs that it may be."""
    found = describe_gpus()
    gpus = [[gpu.get("name"), gpu.get("compute_capability")] for gpu in found["devices"]]
    if device == "cpu" or (device == "auto" and not gpus):
        return ["cpu"]
    return [device, gpus, found["driver"], found["cuda"]]
