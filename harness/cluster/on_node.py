"""What a node is asked to do. These functions run in a process of Ray's there; requests and answers are JSON and bytes.

Ray ships them by name, so the suite has to be installed on the node.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backends import Backend, find_backend
from harness.cluster.messages import pack
from harness.config import RunConfig
from harness.environment import available_cpus, cpu_model, describe_environment, load_average
from harness.environment.files import read
from harness.plan import Cell
from harness.process import MAXIMUM_LOG_BYTES, Outcome, Resources
from harness.provenance import suite_digest, versions
from harness.runner import run_cell
from harness.verdict import verify_brief
from harness.verification.observation import read_case

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def describe_node(request: str) -> str:
    """What this node is, what is installed of the backends named, and which code of the suite."""
    raise_priority()
    found = {}
    for name in json.loads(request)["backends"]:
        with contextlib.suppress(KeyError):
            found[name] = versions(find_backend(name))
    described = {
        "machine": read(BOOT_ID) or os.uname().nodename,
        "processors": available_cpus(),
        "environment": describe_environment(),
        "versions": found,
        "code": suite_digest(),
        "niceness": os.nice(0),
    }
    return json.dumps(described)


def train_here(request: str) -> Iterator[str | tuple[bytes, bytes]]:
    """The node's id at once, so that a loss can be told; then the packed outcome and the log."""
    asked, node = json.loads(request), node_id()
    yield node
    yield _train(asked, node)


def verify_here(request: str) -> str:
    """The verdict on one variant, null where its framework is not installed. Remembered on this node."""
    asked = json.loads(request)
    backend = find_backend(asked["backend"])
    if backend.missing_packages():
        return "null"
    cases, resources = [read_case(fields) for fields in asked["cases"]], resources_here(asked, node_id())
    verdict = verify_brief(backend, asked["implementation"], asked["precision"], resources, cases)
    return json.dumps(asdict(verdict))


def _train(asked: Mapping[str, Any], node: str) -> tuple[bytes, bytes]:
    raise_priority()
    backend = find_backend(asked["backend"])
    cell = Cell(backend, asked["implementation"], asked["precision"], asked["seed"], asked["repeat"])
    config, resources = RunConfig.from_dict(asked["configuration"]), resources_here(asked, node)
    load_before = load_average()
    # As on one machine, but its progress and its checkpoints end here.
    outcome, printed = run_logged(lambda log: run_cell(cell, config, resources, log, lambda _: None))
    return pack(outcome, describe_making(backend, load_before)), printed


def describe_making(backend: Backend, load_before: Any) -> dict[str, Any]:
    """What a cell was made with here, and how busy the node was before it and is now."""
    return {
        "made_with": {"versions": versions(backend), "cpu": cpu_model()},
        "load_average": {"before": load_before, "after": load_average()},
    }


def run_logged(run: Callable[[Path], Outcome]) -> tuple[Outcome, bytes]:
    """The outcome of what writes its log to that path, and the log."""
    with tempfile.TemporaryDirectory(prefix="lstm-copy-benchmark-") as folder:
        log = Path(folder) / "cell.log"
        outcome = run(log)
        if not log.exists():
            return outcome, b""
        with log.open("rb") as stream:
            return outcome, stream.read(MAXIMUM_LOG_BYTES)


def resources_here(asked: Mapping[str, Any], node: str) -> Resources:
    return Resources(**{**asked["resources"], "first_cpu": asked["first_cpus"][node]})


def node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def raise_priority() -> None:
    """Ray starts its processes at niceness 15, and a worker inherits it. Only root may go back; others have to start
    Ray with RAY_worker_niceness=0, and are told."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
