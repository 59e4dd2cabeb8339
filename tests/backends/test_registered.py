"""Backends that other distributions register: the example, as pip installs it, and what is wrong with others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backends import BACKENDS, Support, find_backend, registered_backends
from tests.conftest import FAKES
from tests.documentation import PROJECT, install

SMALL = ["--set", "model.hidden=3", "--set", "model.layers=1", "--set", "train.steps=9", "--set", "train.chunk=2"]

DECLARING = """
from backends import Backend, Support

BACKEND = Backend("other", {{"idiomatic": "other.backend"}}, ("numpy",), support={support})
"""
DECLARED = {
    "float8": "{'idiomatic': Support(('float8',))}",
    "fast": "{'fast': Support(('float32',))}",
    "nothing": "{'idiomatic': Support(())}",
}


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
def example(site: Path, installed_example: Path) -> Path:
    """examples/numpy_backend among them."""
    shutil.copytree(installed_example, site, dirs_exist_ok=True)
    return site


def harness(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_the_example_is_known_by_its_name(example: Path) -> None:
    [backend] = registered_backends()
    assert (backend.name, set(backend.implementations)) == ("numpy32", {"idiomatic"})
    assert backend.thread_variables == ("OPENBLAS_NUM_THREADS",)
    assert backend.support == {"idiomatic": Support(("float32",), wirings=(), devices=("cpu",))}
    assert find_backend("torch") is BACKENDS["torch"]


def test_the_example_is_listed_runs_and_is_verified(example: Path, tmp_path: Path) -> None:
    listed = harness("list", "--backend", "numpy32", *SMALL[:4], "--json", cwd=tmp_path)
    [row] = json.loads(listed.stdout)["backends"]
    assert (row["status"], row["versions"]["numpy_backend"]) == ("ok", "1.0")
    finished = harness("run", "--backend", "numpy32", *SMALL, "--out", str(tmp_path / "run"), "--json", cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    [row] = json.loads(finished.stdout)["summary"]
    assert (row["backend"], row["status"], row["verified"]) == ("numpy32", "ok", True)


def test_a_module_may_be_registered_without_an_object(example: Path) -> None:
    install(example, "other", {"plain": "numpy_backend.backend"}, {})
    backend = find_backend("plain")
    assert backend.implementations == {"idiomatic": "numpy_backend.backend"}
    assert backend.support == {}


def test_an_object_goes_by_the_name_it_is_registered_with(example: Path) -> None:
    install(example, "other", {"renamed": "numpy_backend:BACKEND"}, {})
    assert find_backend("renamed").support == find_backend("numpy32").support


def test_a_cell_is_rerun_after_a_change_of_a_module_that_is_no_package(
    site: Path, installed_example: Path, tmp_path: Path
) -> None:
    code = (installed_example / "numpy_backend" / "backend.py").read_text("utf-8")
    install(site, "lone", {"lone": "lone_backend"}, {"lone_backend.py": code})
    asked = ("run", "--backend", "lone", *SMALL)
    assert harness(*asked, "--out", str(tmp_path / "run"), cwd=tmp_path).returncode == 0
    asked = (*asked, "--resume", str(tmp_path / "run"))
    assert "complete, kept" in harness(*asked, cwd=tmp_path).stdout
    (site / "lone_backend.py").write_text(code + "# Changed.\n")
    told = " ".join(harness(*asked, cwd=tmp_path).stdout.split())
    assert "rerun: its code has changed: lone_backend" in told


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("torch", "other.backend", "the name torch is this suite's own"),
        ("my-net", "other.backend", "'my-net' is no name; allowed are letters, digits and _"),
        ("other", "other:MISSING", "other:MISSING cannot be loaded: AttributeError"),
        ("other", "absent_package:BACKEND", "cannot be loaded: ModuleNotFoundError"),
        ("other", "other:raising", "other:raising is no backends.Backend but str"),
        (
            "other",
            "other.float8:BACKEND",
            "support.precisions must be one of float32, float64, tf32, bfloat16, not 'float8'",
        ),
        ("other", "other.fast:BACKEND", "backend.support must be one of idiomatic, not 'fast'"),
        ("other", "other.nothing:BACKEND", "support.precisions must name at least one of float32"),
    ],
)
def test_a_registration_that_cannot_be_used_says_why(name: str, value: str, problem: str, site: Path) -> None:
    modules = {f"other/{module}.py": DECLARING.format(support=support) for module, support in DECLARED.items()}
    install(site, "other", {name: value}, {"other/__init__.py": "raising = 'text'\n", **modules})
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


def test_broken_ones_are_rows_beside_the_others(example: Path, tmp_path: Path) -> None:
    install(example, "other", {"broken": "other:BACKEND"}, {"other/__init__.py": "1 / 0\n"})
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
