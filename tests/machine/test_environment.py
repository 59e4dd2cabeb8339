"""The whole of it on this machine, and the names that must not be in it."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import socket
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from harness.commands.show_environment import print_environment
from harness.machine import describe_environment, load_average, software
from harness.machine.privacy import shorten
from harness.machine.variables import describe_variables


@pytest.fixture(scope="module")
def environment() -> dict[str, Any]:
    return dict(json.loads(json.dumps(describe_environment())))


def test_the_environment_is_json_and_says_what_this_machine_is(environment: dict[str, Any]) -> None:
    assert environment["cpu"]
    assert environment["logical_cores"] >= environment["physical_cores"] >= 1
    assert environment["memory_bytes"] > 2**28
    assert 0 < environment["memory_available_bytes"] <= environment["memory_bytes"]
    assert environment["processor"].keys() >= {"governor", "caches", "instruction_sets", "numa_nodes"}


def test_every_installed_distribution_has_its_version(environment: dict[str, Any]) -> None:
    assert environment["packages"]["numpy"] == np.__version__
    for name in ("click", "pytest", "safetensors"):
        assert environment["packages"][name] == importlib.metadata.version(name)


def test_numpys_blas_is_described_without_a_path(environment: dict[str, Any]) -> None:
    apis = {library["user_api"] for library in environment["libraries"]}
    assert "blas" in apis
    assert not any("filepath" in library for library in environment["libraries"])


def test_no_name_of_the_user_the_host_or_a_home_folder_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/gertrude")
    monkeypatch.setenv("LOGNAME", "gertrude")
    monkeypatch.setattr(socket, "gethostname", lambda: "castle-17")
    monkeypatch.setenv("TF_DUMP_PATH", "/home/gertrude/dumps")
    monkeypatch.setenv("CUDA_CACHE_PATH", "/scratch/gertrude/castle-17/cache:/Users/other/x")
    environment = describe_environment()
    assert environment["variables"]["TF_DUMP_PATH"] == "~/dumps"
    assert environment["variables"]["CUDA_CACHE_PATH"] == "/scratch/<USER>/<HOST>/cache:~/x"
    text = json.dumps(environment)
    assert not [name for name in ("gertrude", "castle-17", "/home/") if name in text]


def test_a_common_name_is_no_reason_to_garble_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu")
    assert shorten("--out /data/root/gpu-runs") == "--out /data/root/gpu-runs"


def test_only_variables_that_change_results_are_kept_and_no_secrets() -> None:
    variables = {
        "OMP_NUM_THREADS": "2",
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=false",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_VAR_database": "hunter2",
        "TF_TOKEN_app": "hunter2",
        "NVIDIA_API_KEY": "hunter2",
        "TORCH_AUTH": "hunter2",
        "TF_CONFIG": '{"cluster": {"worker": ["10.0.0.1:1"]}}',
        "MASTER_ADDR": "10.0.0.1",
        "JAX_COORDINATOR_ADDRESS": "10.0.0.1:1",
        "EDITOR": "vi",
    }
    assert set(describe_variables(variables)) == {"OMP_NUM_THREADS", "XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS"}


def test_the_revision_tells_whether_the_tree_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"rev-parse": "abc123", "status": ""}
    monkeypatch.setattr(software, "_git", lambda *arguments: answers[arguments[0]])
    assert (software.git_revision(), software.git_clean()) == ("abc123", True)
    answers["status"] = " M harness/cli.py"
    assert (software.git_revision(), software.git_clean()) == ("abc123+", False)


def test_without_git_there_is_no_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (software.git_revision(), software.git_clean()) == (None, None)


def test_the_load_is_three_averages_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = load_average()
    assert loads is None or len(loads) == 3
    monkeypatch.delattr(os, "getloadavg")
    assert load_average() is None


def test_a_reader_gets_a_line_for_what_is_known_in_80_columns(environment: dict[str, Any]) -> None:
    stream = StringIO()
    full = environment | {
        "gpu": {"devices": [{"name": "Imaginary GPU", "memory_bytes": 2**37}], "driver": "1.2"},
        "variables": {"XLA_FLAGS": "[red]--a --b"},
        "git_revision": None,
    }
    print_environment(full, Console(file=stream, width=200))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(stream.getvalue().split())
    assert "devices name Imaginary GPU, memory 128.0 GiB, driver 1.2" in text
    assert "XLA_FLAGS [red]--a --b" in text
    assert "git revision" not in text
