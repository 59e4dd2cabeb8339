"""The samples of the ceiling that a run takes, with real processes and a registered backend that multiplies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from processes import Marked, ends
from rich.console import Console

from harness.machine import find_processors
from harness.processes.ceiling import Samples, keep_samples
from harness.records.durable import FolderLock
from harness.records.folder import RunFolder
from harness.records.structs import Product
from tests.cells.test_ceiling import WAYS
from tests.command import SMALL, Finished, command, environment, harness, invoke, read_rows
from tests.documentation import install
from tests.frameworks import each_framework

SHAPES = [(4, 3, 12), (24, 3, 12), (3, 24, 12), (24, 12, 3)]
# The backend `multiplying` trains as another does, and offers products, whose name says what a process may use.
BACKEND = """
from dataclasses import replace
import faults
from backends import BACKENDS
BACKEND = replace(%s, name="multiplying", packages=("multiplying",), product="multiplying.product")
"""
PRODUCT = """
import os

def name_device(device):
    return "cpu"

def build_products(left, right, *, device, precision):
    %s
    return {f"NumPy, {os.environ['OMP_NUM_THREADS']} threads": lambda: left @ right}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ["PYTHONPATH"]]))
    return folder


def offer(site: Path, before: str = "", trains_as: str = "faults.linear") -> None:
    """Install the backend; `before` is what it does before it offers its products."""
    modules = {"multiplying/__init__.py": BACKEND % trains_as, "multiplying/product.py": PRODUCT % (before or "pass")}
    install(site, "multiplying", {"multiplying": "multiplying:BACKEND"}, modules)


ASKED = ("run", "--threads", "1", "--device", "cpu", *SMALL)


def run(*arguments: object) -> str:
    finished = harness(*ASKED, *arguments)
    assert "Traceback" not in finished.stdout + finished.stderr
    return " ".join(finished.stdout.split())


def samples(folder: Path) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads((folder / "ceiling.json").read_text())["samples"]
    return content


def moments(folder: Path) -> list[str | None]:
    """After which cell samples were taken, in order."""
    return list(dict.fromkeys(sample["after"] for sample in samples(folder)))


def check(folder: Path) -> str:
    return invoke("check", folder).output


def cell(seed: int, repeat: int) -> str:
    return f"multiplying-idiomatic-float32-seed{seed}-r{repeat}"


def test_samples_are_taken_before_each_round_and_after_the_last_cell(site: Path, tmp_path: Path) -> None:
    offer(site)
    folder = tmp_path / "run"
    run("--backend", "multiplying", "--repeats", "2", "--out", folder)
    # A round has two cells, of which one is of the second set that the implementation is compared with.
    plan = json.loads((folder / "run.json").read_text())["cells"]
    assert moments(folder) == [None, plan[1], plan[3]]
    taken = samples(folder)
    assert [(sample["m"], sample["k"], sample["n"]) for sample in taken] == 3 * SHAPES
    assert {(sample["backend"], sample["way"]) for sample in taken} == {("multiplying", "NumPy, 1 threads")}
    record = json.loads((folder / "cells" / f"{plan[0]}.json").read_text())
    assert "ceiling" not in record
    assert "ceiling_s" not in record["timeline"]
    assert "no fault" in check(folder)
    rows = read_rows(folder / "tables" / "ceiling.csv")
    assert [row["way"] for row in rows] == [sample["way"] for sample in taken]


@pytest.mark.parametrize("name", each_framework())
def test_every_installed_framework_is_measured_whatever_is_trained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN_PACKAGES", ",".join({*WAYS} - {name}))
    folder = tmp_path / "run"
    run("--backend", "reference", "--out", folder)
    taken = samples(folder)
    assert moments(folder) == [None, "reference-idiomatic-float32-seed0-r0"]
    assert {sample["backend"] for sample in taken} == {name}
    # Of so few rows none is split over processors.
    assert {sample["way"] for sample in taken} == {way for way in WAYS[name] if "split" not in way}
    assert {(sample["m"], sample["k"], sample["n"]) for sample in taken} == {*SHAPES}
    [row] = read_rows(folder / "tables" / "summary.csv")
    assert float(row["ceiling_share"]) > 0


def test_where_nothing_multiplies_there_is_no_ceiling(reference_run: Finished) -> None:
    assert not (reference_run.folder / "ceiling.json").exists()
    assert "no fault" in check(reference_run.folder)


def test_a_backend_whose_process_fails_is_a_remark_and_no_failed_run(site: Path, tmp_path: Path) -> None:
    offer(site, "raise RuntimeError('no such kernel')", trains_as="BACKENDS['reference']")
    folder = tmp_path / "run"
    told = run("--backend", "multiplying", "--repeats", "2", "--out", folder)
    assert told.count("No ceiling by multiplying: failed: RuntimeError: no such kernel") == 1
    assert told.count(": ok in ") == 4
    assert "no such kernel" in (folder / "logs" / "ceiling-multiplying.log").read_text()
    assert not (folder / "ceiling.json").exists()


def test_a_resumed_run_keeps_its_samples_and_takes_some_for_what_is_left(site: Path, tmp_path: Path) -> None:
    offer(site)
    folder = tmp_path / "run"
    run("--backend", "multiplying", "--out", folder)
    first = samples(folder)
    asked = ["--backend", "multiplying", "--resume", folder]
    assert "complete, kept" in run(*asked)
    assert samples(folder) == first
    run(*asked, "--seeds", "0,1")
    assert samples(folder)[: len(first)] == first
    assert [sample["after"] for sample in samples(folder)[len(first) :]] == [cell(0, 0)] * 4 + [cell(1, 0)] * 4
    assert "no fault" in check(folder)


@pytest.mark.skipif(find_processors().most < 2, reason="two ranks with a processor each need two")
def test_ranks_are_measured_by_what_all_of_them_have(site: Path, tmp_path: Path) -> None:
    offer(site, trains_as="faults.together")
    folder = tmp_path / "run"
    run("--backend", "multiplying", "--ranks", "2", "--out", folder)
    assert {sample["way"] for sample in samples(folder)} == {"NumPy, 2 threads"}


def test_a_ceiling_that_is_not_ours_costs_the_samples_alone(site: Path, tmp_path: Path) -> None:
    offer(site)
    folder = tmp_path / "run"
    run("--backend", "multiplying", "--out", folder)
    [record] = (folder / "cells").glob("*.json")
    record.unlink()
    (folder / "ceiling.json").write_text("{")
    assert "Samples of the ceiling could not be kept: " in run("--backend", "multiplying", "--resume", folder)
    assert json.loads(record.read_text())["status"] == "ok"
    assert (folder / "ceiling.json").read_text() == "{"


@pytest.mark.parametrize(
    "content", ['{"schema_version": 3, "samples": "many"}', '{"schema_version": 2, "samples": []}', "{"]
)
def test_samples_are_not_added_to_what_is_not_ours(
    content: str, reference_run: Finished, tmp_path: Path, console: Console
) -> None:
    copy = Path(shutil.copytree(reference_run.folder, tmp_path / "copy"))
    (copy / "ceiling.json").write_text(content)
    shape = {"m": 4, "k": 3, "n": 12}
    where = {"backend": "multiplying", "way": "NumPy", "precision": "float32", "device": "cpu"}
    taken = Samples([Product(**where, **shape, seconds=1e-6, calls=50)])
    with RunFolder(copy, FolderLock(copy)) as folder:
        keep_samples(taken, None, folder, console)
    assert "Samples of the ceiling could not be kept: " in console.file.getvalue()
    assert (copy / "ceiling.json").read_text() == content


def test_a_signal_ends_the_sampling(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(site, "print('multiplies'); import time; time.sleep(600)")
    marked, folder = Marked(), tmp_path / "run"
    monkeypatch.setenv(marked.variable, "1")
    asked = command(*ASKED, "--backend", "multiplying", "--out", folder)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(asked, env=environment(), **pipes) as process:
        log = folder / "logs" / "ceiling-multiplying.log"
        assert ends(lambda: log.exists() and "multiplies" in log.read_text())
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, output + errors
    assert "SIGINT: 0 of 1 cell done" in " ".join(output.split())
    assert "Traceback" not in output + errors
    assert not marked.pids()
    assert not (folder / "ceiling.json").exists()
