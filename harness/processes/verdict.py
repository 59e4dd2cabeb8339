"""A proof in brief: one case with a run's own optimiser, depth and wiring, remembered until something changes."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from backends import Backend
from backends.contract import ModelSpec, OptimizerSpec
from harness.machine.provenance import PROJECT
from harness.processes.process import Resources
from harness.processes.proof import Proof, prove
from harness.proof.cases import CLIP_VALUES, Case, divisible
from harness.proof.table import make_rows
from harness.proof.tolerances import PRECISIONS
from harness.records.durable import write_json

TIMEOUT_S = 300.0
CACHE_FOLDER = "lstm-copy-benchmark"


@dataclass(frozen=True)
class Verdict:
    """Whether an implementation was proven, why not, and the worst error of each quantity as make_rows gives it."""

    verified: bool
    reason: str | None
    worst: list[dict[str, Any]] = field(default_factory=list, compare=False)


def verify_brief(
    backend: Backend,
    implementation: str,
    precision: str,
    resources: Resources,
    *,
    optimizer: OptimizerSpec,
    model: ModelSpec,
) -> Verdict:
    """Probabilities, loss, gradients and ten steps against the oracle. Never raises for what the backend does."""
    if unknown := refuse_precision(precision):
        return unknown
    case = divisible(brief_case(optimizer, model), resources.ranks)
    path = cache_path(backend, implementation, precision, resources, case)
    if remembered := read_verdict(path):
        return remembered
    limited = replace(resources, timeout_s=min(resources.timeout_s, TIMEOUT_S))
    proof = prove(backend, implementation, {precision: [case]}, limited)
    verdict = sum_up(proof)
    # A process that died may do better next time; what it computed will not change.
    if proof.status == "ok" and proof.deviations:
        remember(path, verdict)
    return verdict


def refuse_precision(precision: str) -> Verdict | None:
    """The verdict on a precision that no proof knows."""
    if precision in PRECISIONS:
        return None
    return Verdict(False, f"no tolerance is set for {precision}: verify knows {', '.join(PRECISIONS)}")


def sum_up(proof: Proof) -> Verdict:
    """The verdict that a proof is."""
    return Verdict(proof.verified, proof.failure(), make_rows(proof.deviations))


def brief_case(optimizer: OptimizerSpec, model: ModelSpec) -> Case:
    """The run's depth and wiring in small, and its optimiser, with a clip value that bites on this small network."""
    clipped = replace(optimizer, clip_value=CLIP_VALUES[optimizer.clip])
    return Case("brief", model.layers, clipped, True, (1, 10), model.wiring)


def read_verdict(path: Path) -> Verdict | None:
    """The verdict in a file; None where there is none or it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        verdict = Verdict(content["verified"], content["reason"], content["worst"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_whole = isinstance(verdict.verified, bool) and isinstance(verdict.reason, str | None)
    is_whole &= isinstance(verdict.worst, list) and all(isinstance(row, dict) for row in verdict.worst)
    return verdict if is_whole else None


def remember(path: Path, verdict: Verdict) -> None:
    # Without a place to write, the next run verifies again.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(verdict))


def record_verdicts(run_file: Path, verdicts: Mapping[tuple[str, ...], Verdict]) -> None:
    """Keep the verdicts, by backend, implementation and precision, in run.json beside those of an earlier part."""
    run = json.loads(run_file.read_text(encoding="utf-8"))
    kept = {(item["backend"], item["implementation"], item["precision"]): item for item in run.get("verification", [])}
    for (backend, implementation, precision), verdict in verdicts.items():
        identity = {"backend": backend, "implementation": implementation, "precision": precision}
        kept[backend, implementation, precision] = {**identity, **asdict(verdict)}
    write_json(run_file, {**run, "verification": list(kept.values())})


def cache_path(backend: Backend, implementation: str, precision: str, resources: Resources, case: Case) -> Path:
    """One file for everything that decides the verdict: code, versions, machine, precision, device and case."""
    module = backend.implementations[implementation]
    facts: dict[str, Any] = {
        "module": module,
        "versions": backend.versions(),
        "machine": [platform.node(), platform.machine(), platform.python_version()],
        "precision": precision,
        "device": resources.device,
        "ranks": resources.ranks,
        "case": case.to_dict(),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for file in code_files(module):
        digest.update(str(file).encode() + b"\0" + file.read_bytes() + b"\0")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / CACHE_FOLDER / "verdicts" / f"{digest.hexdigest()}.json"


def code_files(module: str) -> Iterator[Path]:
    """The sources of the backends, of the module or its package and of verification, in a fixed order."""
    folders = [PROJECT / "backends", PROJECT / "harness" / "proof", PROJECT / "harness" / "task"]
    spec = importlib.util.find_spec(module.partition(".")[0])
    folders += [Path(place) for place in (spec.submodule_search_locations or [] if spec else [])]
    for folder in dict.fromkeys(folders):
        yield from sorted(folder.rglob("*.py"))
    if spec and spec.has_location and not spec.submodule_search_locations:
        yield Path(str(spec.origin))
