"""The two timing formats, read by the tools they are for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from harness.analysis import measures
from harness.records.reading import read_run
from tests.command import invoke


def export(*arguments: object) -> Result:
    return invoke("export", *arguments)


def run_tool(*arguments: object, cwd: Path) -> str:
    """A tool's standard output and error; it must end with 0."""
    command = [sys.executable, "-m", *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


@pytest.fixture
def exported(make_run: Any, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Files of the format that the test names, before and after torch took half as long again."""
    files = []
    for name, step_s in (("before", 0.010), ("after", 0.015)):
        folder = make_run(name, step_s=step_s)
        file = tmp_path / f"{name}.json"
        finished = export(folder, "--format", request.param, "--out", file)
        assert finished.exit_code == 0, finished.output
        files.append(file)
    return files[0], files[1]


@pytest.mark.parametrize("exported", ["pytest-benchmark"], indirect=True)
def test_pytest_benchmark_compares_the_files(exported: tuple[Path, Path], tmp_path: Path) -> None:
    listed = ("--columns=median,rounds", "--sort=name", "--csv=compared.csv")
    table = run_tool("pytest_benchmark", "compare", *exported, *listed, cwd=tmp_path)
    torch = [line for line in table.splitlines() if "train_step[torch-idiomatic-float32]" in line]
    assert len(torch) == 2
    medians_ms = [float(line.split()[2]) for line in torch]
    assert max(medians_ms) / min(medians_ms) == pytest.approx(1.5, rel=0.02)
    assert sum("train_step[jax-idiomatic-float32]" in line for line in table.splitlines()) == 2
    assert len((tmp_path / "compared.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("exported", ["pytest-benchmark"], indirect=True)
def test_pytest_benchmarks_own_statistics_agree(exported: tuple[Path, Path]) -> None:
    from pytest_benchmark.stats import Stats

    for benchmark in json.loads(exported[0].read_text())["benchmarks"]:
        own = Stats()
        for value in benchmark["stats"]["data"]:
            own.update(value)
        expected = own.as_dict()
        assert expected.keys() <= benchmark["stats"].keys()
        for name in ("min", "max", "mean", "stddev", "rounds", "median", "ops", "total"):
            assert benchmark["stats"][name] == pytest.approx(expected[name]), name


@pytest.mark.parametrize("exported", ["pyperf"], indirect=True)
def test_pyperf_compares_the_files(exported: tuple[Path, Path], tmp_path: Path) -> None:
    table = run_tool("pyperf", "compare_to", "--table", *exported, cwd=tmp_path)
    [torch] = [line for line in table.splitlines() if "torch-idiomatic-float32" in line]
    assert re.search(r"1\.(49|5\d?)x slower", torch)
    assert "Total number of values: 4" in run_tool("pyperf", "stats", exported[0], cwd=tmp_path)


@pytest.mark.parametrize("exported", ["pyperf"], indirect=True)
def test_pyperf_loads_a_run_for_each_process_with_its_warm_up(exported: tuple[Path, Path], tmp_path: Path) -> None:
    import pyperf

    suite = pyperf.BenchmarkSuite.load(str(exported[0]))
    assert suite.get_benchmark_names() == ["torch-idiomatic-float32", "jax-idiomatic-float32"]
    torch = suite.get_benchmark("torch-idiomatic-float32")
    run = read_run(tmp_path / "before")
    cells = [cell for cell in run.ok_cells if cell.backend == "torch"]
    assert torch.get_values() == pytest.approx([np.median(measures.step_ms(cell)) / 1000 for cell in cells])
    assert [each.warmups for each in torch.get_runs()] == [((1, 0.6),)] * 4
    assert torch.get_metadata()["cpu_model_name"] == "Imaginary CPU"
    assert torch.get_unit() == "second"


@pytest.mark.parametrize("kind", ["pytest-benchmark", "pyperf"])
def test_one_process_is_enough_for_the_tools_to_read(kind: str, make_run: Any, tmp_path: Path) -> None:
    files = []
    for name in ("one", "other"):
        files.append(tmp_path / f"{name}.json")
        assert export(make_run(name, n=1), "--format", kind, "--out", files[-1]).exit_code == 0
    tool = ("pytest_benchmark", "compare") if kind == "pytest-benchmark" else ("pyperf", "compare_to")
    assert "torch-idiomatic-float32" in run_tool(*tool, *files, cwd=tmp_path) or kind == "pyperf"


@pytest.mark.parametrize("kind", ["pytest-benchmark", "pyperf"])
def test_without_a_file_the_document_alone_is_on_standard_output(kind: str, make_run: Any) -> None:
    assert json.loads(export(make_run("run"), "--format", kind).stdout)["benchmarks"]


def test_what_failed_verification_is_never_mistaken_for_what_passed(make_run: Any) -> None:
    document = json.loads(export(make_run("run", verified=False), "--format", "pyperf").stdout)
    names = [benchmark["metadata"]["name"] for benchmark in document["benchmarks"]]
    assert names == ["jax-idiomatic-float32", "torch-idiomatic-float32 (not verified)"]


def test_a_file_that_exists_is_kept(make_run: Any, tmp_path: Path) -> None:
    (tmp_path / "precious.json").write_text("mine")
    finished = export(make_run("run"), "--format", "pyperf", "--out", tmp_path / "precious.json")
    assert finished.exit_code == 2
    assert "name a new file" in finished.output
    assert (tmp_path / "precious.json").read_text() == "mine"


def test_a_run_without_timed_steps_is_refused(make_run: Any) -> None:
    folder = make_run("run")
    for path in (folder / "cells").iterdir():
        path.unlink()
    finished = export(folder, "--format", "pyperf")
    assert finished.exit_code == 2
    assert "no timed steps" in finished.output
