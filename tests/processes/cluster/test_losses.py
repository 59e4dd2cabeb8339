"""What becomes of a rank whose answer never came."""

from __future__ import annotations

import pytest

from harness.processes.cluster.losses import NO_NODE, explain

pytestmark = pytest.mark.cluster
exceptions = pytest.importorskip("ray.exceptions", reason="ray is not installed; pip install '.[cluster]' installs it")


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("NodeDiedError", "killed", "node abc died"),
        ("WorkerCrashedError", "killed", "node abc lost it: WorkerCrashedError"),
        ("OutOfMemoryError", "out_of_memory", "Ray ended it while node abc was out of memory"),
        ("ActorUnschedulableError", "failed", NO_NODE),
    ],
)
def test_a_loss_has_a_reason_without_an_address(name: str, status: str, reason: str) -> None:
    kind = getattr(exceptions, name)
    error = kind() if name == "WorkerCrashedError" else kind("Node IP: 10.0.0.1")
    outcome = explain(error, "abc")
    assert (outcome.status, outcome.reason) == (status, reason)
