"""What pyproject.toml, constraints.txt and the files around them promise to whoever installs, cites or forks this."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import harness
from tests.documentation import PROJECT, commands

OWN = "lstm-copy-benchmark"
PYTHONS = ("3.11", "3.12", "3.13")
CONSTRAINTS = [Requirement(line) for line in (PROJECT / "constraints.txt").read_text().splitlines() if "==" in line]
PINS = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in CONSTRAINTS}
EXTRAS = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The distribution as pip builds it, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("backends", "harness"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder)
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    [name] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    return message_from_bytes(wheel.read(name))


def test_the_wheel_has_what_is_read_at_run_time_and_is_typed(wheel: zipfile.ZipFile) -> None:
    folders = [PROJECT / "harness", PROJECT / "backends"]
    data = {str(path.relative_to(PROJECT)) for folder in folders for path in folder.rglob("*") if is_data(path)}
    assert data >= {"harness/py.typed", "backends/py.typed", "harness/task/presets/quick.toml"}
    assert data <= {*wheel.namelist()}


def is_data(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".py", ".pyc")


def test_pip_takes_the_pythons_that_all_wheels_exist_for_and_no_other(metadata: Message) -> None:
    allowed = SpecifierSet(metadata["Requires-Python"])
    taken = [f"3.{minor}" for minor in range(20) if f"3.{minor}.1" in allowed]
    assert taken == [*PYTHONS]
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "Python 3.11, 3.12 or 3.13" in (PROJECT / page).read_text("utf-8")
    classified = [each.split(" :: ")[-1] for each in metadata.get_all("Classifier") if re.search(r":: 3\.\d+$", each)]
    assert classified == taken


def test_the_metadata_name_version_author_licence_and_links(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == (OWN, harness.__version__)
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"] in (PROJECT / "LICENSE").read_text("utf-8")
    assert any("arxiv.org/abs/1410.5401" in link for link in metadata.get_all("Project-URL"))


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_bounds_versions_below_and_a_constraint_pins_each(extra: str) -> None:
    """So that versions can be compared, and the published results made again."""
    for requirement in map(Requirement, EXTRAS[extra]):
        name = canonicalize_name(requirement.name)
        if name != OWN:
            assert {bound.operator for bound in requirement.specifier} <= {">="}, requirement
            assert PINS[name] in requirement.specifier


def test_the_gpu_extra_takes_what_the_others_take() -> None:
    assert f"{OWN}[torch,tensorflow,jax]" in EXTRAS["cuda"]


def test_the_citation_and_the_changelog_have_this_version_and_its_date() -> None:
    citation = (PROJECT / "CITATION.cff").read_text("utf-8")
    cited = dict(re.findall(r'^(version|date-released): "?([\d.-]+)', citation, re.MULTILINE))
    assert cited["version"] == harness.__version__
    changelog = (PROJECT / "CHANGELOG.md").read_text("utf-8")
    assert f"## {cited['version']} ({cited['date-released']})\n" in changelog


def test_the_workflow_runs_the_readmes_test_command_on_pythons_that_pip_takes() -> None:
    workflow = (PROJECT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    [command] = [command for command in commands("README.md") if command.endswith("/tox")]
    assert f"- run: {command}\n" in workflow
    [pythons] = re.findall(r"python: \[(.*)\]", workflow)
    assert {*re.findall(r"[\d.]+", pythons)} == {"3.11", "3.12"}


def test_the_hooks_before_a_commit_are_what_tox_checks() -> None:
    hooks = re.findall(r"entry: (.*)", (PROJECT / ".pre-commit-config.yaml").read_text("utf-8"))
    _, _, lint = (PROJECT / "tox.ini").read_text("utf-8").partition("[testenv:lint]")
    checked = [line.strip() for line in lint.partition("commands =")[2].splitlines() if line.strip()]
    assert [hook.removesuffix(" --force-exclude") for hook in hooks] == [
        re.sub(r"( --check)? \.$", "", command) for command in checked
    ]
