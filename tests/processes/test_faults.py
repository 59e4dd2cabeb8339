"""Every fault as a user meets it: one run of backends that misbehave, each in its own way, with the real runner."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes.process import MAXIMUM_LINE_LENGTH, MAXIMUM_REASON_LENGTH, N_LAST_LINES

PROJECT = Path(__file__).parents[2]
SMALL = ["--set", "model.hidden=3", "--set", "model.layers=1", "--set", "task.max_length=2"]
SMALL += ["--set", "train.steps=12", "--set", "train.chunk=3", "--set", "train.batch=4"]

# The status and the reason of each; a reason ends here where the last lines of the log follow.
FAULTS = {
    "raising": ("failed", "RuntimeError: the third layer is on fire; its log ends: about to raise"),
    "leaving": ("failed", "SystemExit: I have had enough"),
    "killed": ("killed", "killed by signal 9 (SIGKILL)"),
    "crashing": ("killed", "killed by signal 11 (SIGSEGV)"),
    "silent": ("failed", "exited with status 3 without a result"),
    "hanging_up": ("failed", "it closed its answers without a result"),
    "starving": ("out_of_memory", "MemoryError: cannot allocate 3 TiB; its log ends: allocating"),
    "hungry": ("out_of_memory", "MemoryError: Unable to allocate 8.00 GiB for an array"),
    "garbling": ("failed", "the worker sent a malformed message: "),
    "forging": ("failed", "a malformed record: lstm.0.bias: this parameter is missing"),
    "oversized": ("failed", "the worker sent a malformed message: ValueError its first line is longer than 67108864"),
    "misshapen": ("failed", "a malformed record: output.bias: its shape is (9,), not (8,)"),
    "poisoned": ("failed", "a malformed record: output.bias: it holds a value that is not finite"),
    "forgetful": ("failed", "ValueError: losses of shape (0,) for 3 steps"),
    "chatty": ("failed", "it printed more than 67108864 bytes; its log ends: as I was saying | as"),
    "writing": ("failed", "OSError: [Errno 28] No space left on device"),
    "diverging": ("diverged", "the loss is nan at step 7"),
    "doubtful": ("diverged", "the predictions are not finite"),
    "unable": ("unsupported", "no float32 on a full moon"),
    "unimportable": ("failed", "ImportError: libdragons.so.7: cannot open shared object file"),
    "bursting": ("killed", "killed by signal 6 (SIGABRT); its log ends: loading libdragons"),
    "noisy": ("failed", "RuntimeError: ../../etc | <img src=x onerror=alert(2)>; its log ends: red"),
}


@pytest.fixture(scope="module")
def faulty_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.CompletedProcess[str], Path]]:
    folder = tmp_path_factory.mktemp("runs") / "faulty"
    names = ",".join([*FAULTS, "linear", "untimely"])
    return run_harness("run", "--backend", names, *SMALL, "--timeout", "60", "--out", str(folder)), folder


def run_harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "tests" / "fakes")])
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "80"}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)


def read_rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "tables" / "summary.csv").open(newline="") as stream:
        return {row["backend"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_status_and_a_reason_in_the_tables(
    name: str, faulty_run: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    row = read_rows(faulty_run[1])[name]
    status, reason = FAULTS[name]
    assert row["status"] == status
    assert row["reason"].startswith(reason)
    assert row["reason"].isprintable()
    assert len(row["reason"]) <= MAXIMUM_REASON_LENGTH + N_LAST_LINES * (MAXIMUM_LINE_LENGTH + 3) + 20


def test_the_rest_goes_on_and_the_exit_status_is_1(
    faulty_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    finished, folder = faulty_run
    assert finished.returncode == 1
    assert read_rows(folder)["linear"]["status"] == "ok"
    assert len(read_rows(folder)) == len(FAULTS) + 2


def test_no_traceback_reaches_the_terminal_and_each_is_in_its_log(
    faulty_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    finished, folder = faulty_run
    assert "Traceback" not in finished.stdout + finished.stderr
    (log,) = (folder / "logs").glob("*raising*.log")
    assert "Traceback" in log.read_text()
    assert "the third layer" in log.read_text()


def test_what_was_measured_before_the_fault_is_kept(
    faulty_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    def losses(name: str) -> list[float]:
        (path,) = (faulty_run[1] / "cells").glob(f"{name}-*.json")
        return json.loads(path.read_text())["losses"]

    assert len(losses("diverging")) == 6
    assert len(losses("doubtful")) == 12


def test_markup_and_paths_in_reasons_are_text_in_the_pages(
    faulty_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    folder = faulty_run[1]
    page = (folder / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    for path in (folder / "report.md", folder / "tables" / "summary.md"):
        assert not re.search(r"(?<!\\)<(script|img src=x)", path.read_text())


def test_of_a_run_full_of_faults_check_names_what_was_left_out_of_records(
    faulty_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    finished = run_harness("check", str(faulty_run[1]))
    *lines, _ = finished.stdout.splitlines()
    assert finished.returncode == 1
    assert {re.sub(r".*cells/|-.*", "", line) for line in lines} == {"forging", "misshapen", "poisoned"}
    assert all(line.endswith("; so it was left out") for line in lines)
    assert any("output.bias: its shape is (9,), not (8,)" in line for line in lines)


def test_a_clock_that_is_set_back_while_a_cell_trains_changes_nothing(
    faulty_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    with (faulty_run[1] / "tables" / "timeline.csv").open(newline="") as stream:
        (row,) = (row for row in csv.DictReader(stream) if row["backend"] == "untimely")
    assert row["status"] == "ok"
    assert 0 < float(row["spawn_s"]) < float(row["total_s"]) < 60
    # Another column of the same table.
    assert float(row["data_cpu_s"]) > 0


def test_a_cell_with_one_faulty_field_keeps_all_else_and_says_so_everywhere(tmp_path: Path) -> None:
    folder, name = tmp_path / "run", "immeasurable-idiomatic-float32-seed0-r0"
    fault = "peak_memory_bytes: expected `int | null`, got `str`"
    finished = run_harness("run", "--backend", "immeasurable", *SMALL, "-q", "--out", str(folder))
    assert (finished.returncode, finished.stderr) == (1, f"{name}: {fault}\n")
    row = read_rows(folder)["immeasurable"]
    assert (row["status"], row["verified"], row["peak_memory_bytes"]) == ("ok", "true", "")
    assert float(row["sequences_per_s"]) > 0
    assert (folder / "cells" / f"{name}.safetensors").exists()
    assert json.loads((folder / "cells" / f"{name}.json").read_text())["faulty"] == {"peak_memory_bytes": "NaN"}
    assert "Records with faults: 1 of 1 cell;" in (folder / "report.md").read_text()
    checked = run_harness("check", str(folder))
    assert checked.returncode == 1
    assert checked.stdout.splitlines()[0] == f"cells/{name}.json: {fault}; so it was left out"
    assert "complete, kept" in run_harness("run", "--resume", str(folder), "--backend", row["backend"]).stdout


def test_no_pickle_and_nothing_unknown_is_in_the_folder(
    faulty_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    suffixes = {path.suffix for path in faulty_run[1].rglob("*") if path.is_file() and path.name != ".lock"}
    assert suffixes <= {".json", ".safetensors", ".log", ".csv", ".md", ".html", ".png"}
