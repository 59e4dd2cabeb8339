"""Every implementation wires its layers as the oracle does: each switch alone, as verify does all of them together."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends import BACKENDS, Backend, find_backend
from backends.contract import WIRINGS, OptimizerSpec
from harness.cells.requests import Describe
from harness.processes.process import Resources, run_job
from harness.processes.proof import prove
from harness.proof.cases import Case
from harness.records.messages import Described
from harness.task.presets import load_preset
from tests.frameworks import each_implementation, marks

RESOURCES = Resources(device="cpu", threads=1, timeout_s=600)


@pytest.mark.parametrize(("backend", "implementation"), each_implementation("reference"))
def test_any_wiring_is_the_oracles(backend: Backend, implementation: str) -> None:
    cases = [Case(switch, 2, OptimizerSpec(), True, wiring=(switch,)) for switch in WIRINGS]
    # Of one layer, each switch has its edge: no layer above the first, and no second output to join.
    cases.append(Case("one layer", 1, OptimizerSpec(), True, wiring=WIRINGS))
    proof = prove(backend, implementation, {"float32": cases}, RESOURCES)
    assert proof.failure() is None
    assert {deviation.case for deviation in proof.deviations} == {case.name for case in cases}
    assert not proof.unsupported


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(BACKENDS[name])) for name in ("tensorflow", "jax")])
def test_the_ways_by_cudnn_are_the_oracles(name: str) -> None:
    """What of them a processor can stand in for: the plain stack, which may be one call, and each switch."""
    backend = find_backend(f"tests.backends.gpu_{name}")
    cases = [Case("stack", 3, OptimizerSpec(), True)]
    cases += [Case(switch, 2, OptimizerSpec(), True, wiring=(switch,)) for switch in WIRINGS]
    [implementation] = backend.implementations
    proof = prove(backend, implementation, {"float32": cases}, RESOURCES)
    assert proof.failure() is None
    assert {deviation.case for deviation in proof.deviations} == {case.name for case in cases}


@pytest.mark.parametrize(("backend", "implementation"), each_implementation("reference"))
def test_the_papers_network_has_the_papers_number_of_parameters(
    backend: Backend, implementation: str, tmp_path: Path
) -> None:
    """Counted in each framework's own model."""
    job = Describe(
        backend=backend.name,
        implementation=implementation,
        configuration=load_preset("paper"),
        precision="float32",
    )
    outcome = run_job(job, RESOURCES, tmp_path / "log")
    assert isinstance(outcome.body, Described), outcome.reason
    assert outcome.body.n_parameters == 1_352_969
