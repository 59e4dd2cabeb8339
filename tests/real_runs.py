"""Runs that many tests look at, each made once: copy the folder before you change it."""

from __future__ import annotations

import pytest

from tests.command import SMALL, Finished, harness


@pytest.fixture(scope="session")
def reference_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of the NumPy reference in which nothing goes wrong, with JSON for its answer."""
    folder = tmp_path_factory.mktemp("runs") / "reference"
    return Finished(
        harness("run", "--backend", "reference", "--repeats", "2", *SMALL, "--out", folder, "--json"), folder
    )
