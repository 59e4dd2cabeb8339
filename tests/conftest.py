"""What several test modules share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from backends import FRAMEWORKS
from tests.documentation import install_example

# A busy machine is no fault of what is tested; and where a change is judged, it meets the same examples each time.
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
# By hand: HYPOTHESIS_PROFILE=long pytest tests/commands/test_fuzz.py
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

FAKES = Path(__file__).parent / "fakes"

# A suite started in the background of a script ignores SIGINT, and so would every process that it starts: there,
# Ctrl-C would end nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("tests.made_up_runs", "tests.real_runs")


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Verdicts are remembered between runs; the tests neither read nor leave any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def frameworks_hidden() -> Iterator[None]:
    """A run times the products of every framework that is installed, which would take most of the tests' time: in the
    processes they start, none is installed (tests/fakes/sitecustomize.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(FAKES), os.environ.get("PYTHONPATH")])))
        patch.setenv("HIDDEN_PACKAGES", ",".join(FRAMEWORKS))
        yield


@pytest.fixture(autouse=True, scope="session")
def undisturbed() -> Iterator[None]:
    """Nor does a run in a process that tests start wait for a quiet machine: other tests may run beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDISTURBED", "1")
        yield


@pytest.fixture(autouse=True)
def frameworks_shown(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """But in tests that run one."""
    if request.node.get_closest_marker("framework"):
        monkeypatch.delenv("HIDDEN_PACKAGES")


@pytest.fixture(scope="session")
def installed_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip has installed examples/numpy_backend into."""
    folder = tmp_path_factory.mktemp("example") / "site"
    install_example(folder)
    return folder
