"""The parameters of tests that run a framework: marked, and skipped with the reason where it is not installed."""

from __future__ import annotations

from typing import Any

import pytest

from backends import BACKENDS, FRAMEWORKS, Backend
from harness.processes.process import missing_reason


def each_framework() -> list[Any]:
    """A parameter for each framework: its name."""
    return [pytest.param(name, marks=marks(BACKENDS[name])) for name in FRAMEWORKS]


def each_implementation(*others: str) -> list[Any]:
    """Parameters for each implementation of each framework and of these other backends: backend and implementation."""
    return [
        pytest.param(backend, implementation, id=f"{backend.name}-{implementation}", marks=marks(backend))
        for backend in (BACKENDS[name] for name in (*FRAMEWORKS, *others))
        for implementation in backend.implementations
    ]


def marks(backend: Backend) -> list[pytest.MarkDecorator]:
    if backend.name not in FRAMEWORKS:
        return []
    missing = backend.missing_packages()
    absent = pytest.mark.skipif(bool(missing), reason=missing_reason(backend, missing) if missing else "")
    return [pytest.mark.framework, absent]
