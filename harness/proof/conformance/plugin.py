"""A pytest plugin: the option that names the backend, each of its implementations, and every case observed once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from backends import Backend, Support, find_backend
from backends.contract import Implementation, Parameters, Trainer, Unsupported
from harness.proof.cases import Case, start_parameters
from harness.proof.observation import observe

BACKEND = pytest.StashKey[Backend]()
# A backend may declare these and still refuse them on a machine whose hardware lacks them.
PRECISIONS_OF_HARDWARE = ("tf32", "bfloat16")


@dataclass
class Subject:
    """The implementation that is checked, on the CPU, and what it declares: None where it declares nothing.

    What it declares it must compute, or the test fails. What it does not declare is skipped here, and left to
    test_declaration.py.
    """

    implementation: Implementation
    support: Support | None
    observed: dict[tuple[str, str], Parameters] = field(default_factory=dict)

    def declares(self, precision: str, wiring: tuple[str, ...] = (), device: str = "cpu") -> bool:
        """Whether it says that it computes this. One that declares nothing may compute anything."""
        if self.support is None:
            return True
        known = {*self.support.precisions, *self.support.wirings, *self.support.devices}
        return known.issuperset([precision, *wiring, device])

    def build(self, case: Case, precision: str = "float32", parameters: Parameters | None = None) -> Trainer:
        """A trainer of the case, from its start parameters or from these."""
        model = case.model()
        start = start_parameters(model) if parameters is None else parameters
        with self._as_declared(case, precision):
            return self.implementation.build(model, case.optimizer, start, device="cpu", precision=precision)

    def observe(self, case: Case, precision: str) -> Parameters:
        """What it makes of a case; a case is observed once."""
        key = case.name, precision
        if key not in self.observed:
            with self._as_declared(case, precision):
                self.observed[key] = observe(self.implementation, case, device="cpu", precision=precision)
        return self.observed[key]

    @contextlib.contextmanager
    def _as_declared(self, case: Case, precision: str) -> Iterator[None]:
        what = ", ".join([precision, *case.wiring])
        if not self.declares(precision, case.wiring):
            pytest.skip(f"not declared: {what}")
        try:
            yield
        except Unsupported as reason:
            if self.support is None or precision in PRECISIONS_OF_HARDWARE:
                pytest.skip(f"unsupported: {reason}")
            pytest.fail(f"declared, but unsupported: {what}: {reason}", pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    help_text = "the backend to check: a name the harness knows, or a module package.module"
    parser.addoption("--backend-module", required=True, metavar="NAME", help=help_text)


def pytest_configure(config: pytest.Config) -> None:
    name = cast(str, config.getoption("--backend-module"))
    try:
        backend = find_backend(name)
    except KeyError:
        allowed = "a backend that is installed, or package.module"
        raise pytest.UsageError(f"--backend-module {name!r}: allowed is {allowed}") from None
    missing = backend.missing_packages()
    problem = backend.problem or (f"it needs {', '.join(missing)}, which is not installed" if missing else None)
    if problem:
        raise pytest.UsageError(f"--backend-module {name}: {problem}")
    config.stash[BACKEND] = backend


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test once for each implementation of the backend."""
    if "subject" in metafunc.fixturenames:
        names = list(metafunc.config.stash[BACKEND].implementations)
        metafunc.parametrize("subject", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Subject:
    """The implementation to check, imported."""
    backend, name = request.config.stash[BACKEND], cast(str, request.param)
    return Subject(backend.load(name), backend.support.get(name))
