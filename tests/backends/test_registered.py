"""Backends that other distributions register, with real metadata on the path and the worked example of the docs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backends import BACKENDS, find_backend, registered_backends
from tests.conftest import FAKES
from tests.documentation import PROJECT, blocks, install, install_worked_example

SMALL = ["--set", "model.hidden=3", "--set", "model.layers=1", "--set", "train.steps=9", "--set", "train.chunk=2"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, here and in every process started from here. The tests' own faults are not."""
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(FAKES / "sitecustomize.py", folder)
    monkeypatch.syspath_prepend(str(folder))
    sys.path[:] = [path for path in sys.path if path != str(FAKES)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(PROJECT)]))
    return folder


@pytest.fixture
def documented(site: Path) -> Path:
    """The worked example, registered as its pyproject.toml says."""
    install_worked_example(site)
    return site


def harness(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_the_documented_package_is_known_by_its_name(documented: Path) -> None:
    assert [backend.name for backend in registered_backends()] == ["numpy32"]
    assert find_backend("numpy32").implementations == {"idiomatic": "my_package.my_backend"}
    assert find_backend("torch") is BACKENDS["torch"]


def test_the_documented_package_runs_and_is_verified(documented: Path, tmp_path: Path) -> None:
    finished = harness("run", "--backend", "numpy32", *SMALL, "--out", str(tmp_path / "run"), "--json", cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    [row] = json.loads(finished.stdout)["summary"]
    assert (row["backend"], row["status"], row["verified"]) == ("numpy32", "ok", True)


def test_a_registered_object_has_implementations_of_its_own(site: Path) -> None:
    [package], [code] = (blocks("CONTRIBUTING.md", language) for language in ("py", "python"))
    modules = {"my_package/__init__.py": package, "my_package/my_backend.py": code}
    install(site, "my-package", {"renamed": "my_package:BACKEND"}, modules)
    backend = find_backend("renamed")
    assert set(backend.implementations) == {"idiomatic", "tuned"}
    assert backend.thread_variables == ("OPENBLAS_NUM_THREADS",)


def test_a_cell_is_done_again_after_a_change_of_a_module_that_is_no_package(site: Path, tmp_path: Path) -> None:
    [code] = blocks("CONTRIBUTING.md", "python")
    install(site, "lone", {"lone": "lone_backend"}, {"lone_backend.py": code})
    asked = ("run", "--backend", "lone", *SMALL)
    assert harness(*asked, "--out", str(tmp_path / "run"), cwd=tmp_path).returncode == 0
    asked = (*asked, "--resume", str(tmp_path / "run"))
    assert "complete, kept" in harness(*asked, cwd=tmp_path).stdout
    (site / "lone_backend.py").write_text(code + "# Changed.\n")
    told = " ".join(harness(*asked, cwd=tmp_path).stdout.split())
    assert "done again, for its code has changed: lone_backend" in told


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("torch", "other.backend", "the name torch is this suite's own"),
        ("my-net", "other.backend", "'my-net' is no name; allowed are letters, digits and _"),
        ("other", "other:MISSING", "other:MISSING cannot be loaded: AttributeError"),
        ("other", "absent_package:BACKEND", "cannot be loaded: ModuleNotFoundError"),
        ("other", "other:raising", "other:raising is no backends.Backend but str"),
    ],
)
def test_a_registration_that_cannot_be_used_says_why(name: str, value: str, problem: str, site: Path) -> None:
    install(site, "other", {name: value}, {"other/__init__.py": "raising = 'text'\n"})
    [backend] = registered_backends()
    assert backend.problem is not None
    assert problem in backend.problem
    with pytest.raises(ImportError, match=re.escape(problem)):
        backend.load("idiomatic")
    assert find_backend("torch") is BACKENDS["torch"]


def test_one_name_from_two_distributions_is_a_problem_of_the_second(site: Path) -> None:
    install(site, "one", {"net": "one.backend"}, {"one/__init__.py": ""})
    install(site, "two", {"net": "two.backend"}, {"two/__init__.py": ""})
    first, second = registered_backends()
    assert first.problem is None
    assert "net is registered twice" in str(second.problem)


def test_broken_ones_are_rows_beside_the_others(documented: Path, tmp_path: Path) -> None:
    install(documented, "other", {"broken": "other:BACKEND"}, {"other/__init__.py": "1 / 0\n"})
    finished = harness("list", *SMALL[:4], "--json", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    rows = {row["backend"]: row for row in json.loads(finished.stdout)["backends"]}
    assert rows["broken"]["status"] == "failed"
    assert "ZeroDivisionError" in rows["broken"]["reason"]
    assert rows["numpy32"]["status"] == "ok"
    run = harness("run", "--backend", "broken,numpy32", *SMALL, "--out", str(tmp_path / "run"), "--json", cwd=tmp_path)
    assert run.returncode == 1
    statuses = {row["backend"]: (row["status"], row["reason"]) for row in json.loads(run.stdout)["summary"]}
    assert statuses["numpy32"] == ("ok", None)
    assert statuses["broken"][0] == "failed"
    assert "ZeroDivisionError" in str(statuses["broken"][1])
