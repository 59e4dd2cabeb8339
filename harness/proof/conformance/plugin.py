"""A pytest plugin: the option that names the backend, its module, and every case observed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from backends import find_backend
from backends.contract import Implementation, Parameters, Unsupported
from harness.proof.cases import Case
from harness.proof.observation import observe

Observe = Callable[[Case, str], Parameters]


def pytest_addoption(parser: pytest.Parser) -> None:
    help_text = "the backend to check: a module package.module, or a name the harness knows"
    parser.addoption("--backend-module", required=True, metavar="MODULE", help=help_text)


@pytest.fixture(scope="session")
def implementation(request: pytest.FixtureRequest) -> Implementation:
    """The module to check, imported."""
    name = cast(str, request.config.getoption("--backend-module"))
    try:
        backend = find_backend(name)
    except KeyError:
        raise pytest.UsageError(f"--backend-module {name!r} is not of the form package.module") from None
    return backend.load(next(iter(backend.implementations)))


@pytest.fixture(scope="session")
def observed(implementation: Implementation) -> Observe:
    """What the backend makes of a case in a precision; a case is observed once, and an Unsupported one skipped."""
    done: dict[tuple[str, str], Parameters] = {}

    def observe_once(case: Case, precision: str) -> Parameters:
        key = case.name, precision
        if key not in done:
            try:
                done[key] = observe(implementation, case, device="cpu", precision=precision)
            except Unsupported as reason:
                pytest.skip(f"unsupported: {reason}")
        return done[key]

    return observe_once
