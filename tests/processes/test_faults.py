"""Every fault as a user meets it: one run of backends that misbehave, each in its own way, with the real runner."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from harness.processes.process import MAXIMUM_LINE_LENGTH, MAXIMUM_REASON_LENGTH, N_LAST_LINES
from tests.command import SMALL, Finished, harness, read_rows

# Of each backend that misbehaves, the status and a pattern of the reason.
FAULTS = {
    "raising": ("failed", "RuntimeError: the third layer is on fire; its log ends: about to raise"),
    "leaving": ("failed", "SystemExit: I have had enough"),
    "killed": ("killed", r"killed by signal 9 \(SIGKILL\)"),
    "crashing": ("killed", r"killed by signal 11 \(SIGSEGV\).*"),
    "silent": ("failed", "exited with status 3 without a result"),
    "hanging_up": ("failed", "it closed its answers without a result"),
    "starving": ("out_of_memory", "MemoryError: cannot allocate 3 TiB; its log ends: allocating"),
    "hungry": ("out_of_memory", "MemoryError: Unable to allocate 8.00 GiB for an array.*"),
    "garbling": ("failed", "the worker sent a malformed message: [^;]+"),
    "forging": ("failed", "a malformed record: lstm.0.bias: this parameter is missing"),
    "oversized": (
        "failed",
        "the worker sent a malformed message: ValueError its first line is longer than 67108864 bytes",
    ),
    "misshapen": ("failed", r"a malformed record: output.bias: its shape is \(9,\), not \(8,\)"),
    "poisoned": ("failed", "a malformed record: output.bias: it holds a value that is not finite"),
    "forgetful": ("failed", r"ValueError: losses of shape \(0,\) for 3 steps"),
    "chatty": ("failed", r"it printed more than 67108864 bytes; its log ends: as I was saying \| as.*"),
    "writing": ("failed", r"OSError: \[Errno 28\] No space left on device"),
    "diverging": ("diverged", "the loss is nan at step 7"),
    "doubtful": ("diverged", "the predictions are not finite.*"),
    "unable": ("unsupported", "no float32 on a full moon"),
    "unimportable": ("failed", "ImportError: libdragons.so.7: cannot open shared object file"),
    "bursting": ("killed", r"killed by signal 6 \(SIGABRT\); its log ends: loading libdragons.*"),
    "noisy": ("failed", r"RuntimeError: ../../etc \| <img src=x onerror=alert\(2\)>; its log ends: red.*"),
    "no_such_package.backend": ("not_installed", "no_such_package is not installed"),
}
# Trained to the end, whatever they do besides.
GOOD = ("linear", "talkative", "untimely", "weighty")
# As tests/fakes/faults.py has it.
WEIGHT_BYTES = 2**26


@pytest.fixture(scope="module")
def faulty_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of every fault, and of backends that train to the end all the same."""
    folder = tmp_path_factory.mktemp("runs") / "faulty"
    names = ",".join([*FAULTS, *GOOD])
    return Finished(harness("run", "--backend", names, *SMALL, "--timeout", "60", "--out", folder), folder)


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of the summary by backend."""
    return {row["backend"]: row for row in read_rows(folder / "tables" / "summary.csv")}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_status_and_a_reason_in_the_tables(name: str, faulty_run: Finished) -> None:
    row = rows_of(faulty_run.folder)[name]
    status, reason = FAULTS[name]
    assert row["status"] == status
    assert re.fullmatch(reason, row["reason"])
    assert row["reason"].isprintable()
    assert len(row["reason"]) <= MAXIMUM_REASON_LENGTH + N_LAST_LINES * (MAXIMUM_LINE_LENGTH + 3) + 20


def test_the_rest_goes_on_and_the_exit_status_is_1(faulty_run: Finished) -> None:
    finished, folder = faulty_run
    assert finished.returncode == 1
    rows = rows_of(folder)
    assert {name: rows[name]["status"] for name in GOOD} == dict.fromkeys(GOOD, "ok")
    assert len(rows) == len(FAULTS) + len(GOOD)


def test_no_traceback_reaches_the_terminal_and_each_is_in_its_log(faulty_run: Finished) -> None:
    finished, folder = faulty_run
    assert "Traceback" not in finished.stdout + finished.stderr
    (log,) = (folder / "logs").glob("*raising*.log")
    assert "Traceback" in log.read_text()
    assert "about to raise" in log.read_text()
    assert "the third layer" in log.read_text()


def test_what_was_measured_before_the_fault_is_kept(faulty_run: Finished) -> None:
    def losses(name: str) -> list[float]:
        (path,) = (faulty_run.folder / "cells").glob(f"{name}-*.json")
        return json.loads(path.read_text())["losses"]

    assert len(losses("diverging")) == 6
    assert len(losses("doubtful")) == 12
    # What looks like a result on its standard output is none.
    assert len(losses("talkative")) == 12


def test_a_backend_that_is_not_installed_is_a_row_and_no_process(faulty_run: Finished) -> None:
    assert not list((faulty_run.folder / "logs").glob("no_such_package*"))


def test_markup_and_paths_in_reasons_are_text_in_the_pages(faulty_run: Finished) -> None:
    folder = faulty_run.folder
    page = (folder / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    for path in (folder / "report.md", folder / "tables" / "summary.md"):
        assert not re.search(r"(?<!\\)<(script|img src=x)", path.read_text())


def test_of_a_run_full_of_faults_check_names_what_was_left_out_of_records(faulty_run: Finished) -> None:
    finished = harness("check", faulty_run.folder)
    *lines, _ = finished.stdout.splitlines()
    assert finished.returncode == 1
    assert {re.sub(r".*cells/|-.*", "", line) for line in lines} == {"forging", "misshapen", "poisoned"}
    assert all(line.endswith("; so it was left out") for line in lines)
    assert any("output.bias: its shape is (9,), not (8,)" in line for line in lines)


def test_a_clock_that_is_set_back_while_a_cell_trains_changes_nothing(faulty_run: Finished) -> None:
    rows = read_rows(faulty_run.folder / "tables" / "timeline.csv")
    (row,) = (row for row in rows if row["backend"] == "untimely")
    assert row["status"] == "ok"
    assert 0 < float(row["spawn_s"]) < float(row["total_s"]) < 60
    # Another column of the same table.
    assert float(row["data_cpu_s"]) > 0


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux' /proc")
def test_memory_is_what_the_backend_took_and_cpu_time_is_what_it_worked(faulty_run: Finished) -> None:
    rows = rows_of(faulty_run.folder)
    peak, light = (int(rows[name]["peak_memory_bytes"]) for name in ("weighty", "linear"))
    assert 0.9 * WEIGHT_BYTES < peak < 1.5 * WEIGHT_BYTES
    assert light < 0.5 * WEIGHT_BYTES
    assert int(rows["weighty"]["process_memory_bytes"]) > peak
    # Each call of three steps works for 60 ms and sleeps as long.
    cpu_ms, step_ms = (float(rows["weighty"][name]) for name in ("cpu_ms", "step_ms"))
    assert 20 <= cpu_ms <= step_ms - 15


def test_a_cell_with_one_faulty_field_keeps_all_else_and_says_so_everywhere(tmp_path: Path) -> None:
    folder, name = tmp_path / "run", "immeasurable-idiomatic-float32-seed0-r0"
    fault = "peak_memory_bytes: expected `int | null`, got `str`"
    finished = harness("run", "--backend", "immeasurable", *SMALL, "-q", "--out", folder)
    assert (finished.returncode, finished.stderr) == (1, f"{name}: {fault}\n")
    row = rows_of(folder)["immeasurable"]
    assert (row["status"], row["verified"], row["peak_memory_bytes"]) == ("ok", "true", "")
    assert float(row["sequences_per_s"]) > 0
    assert (folder / "cells" / f"{name}.safetensors").exists()
    assert json.loads((folder / "cells" / f"{name}.json").read_text())["faulty"] == {"peak_memory_bytes": "NaN"}
    assert "Records with faults: 1 of 1 cell;" in (folder / "report.md").read_text()
    checked = harness("check", folder)
    assert checked.returncode == 1
    assert checked.stdout.splitlines()[0] == f"cells/{name}.json: {fault}; so it was left out"
    assert "complete, kept" in harness("run", "--resume", folder, "--backend", row["backend"]).stdout


def test_no_pickle_and_nothing_unknown_is_in_the_folder(faulty_run: Finished) -> None:
    suffixes = {path.suffix for path in faulty_run.folder.rglob("*") if path.is_file() and path.name != ".lock"}
    assert suffixes <= {".json", ".safetensors", ".log", ".csv", ".md", ".html", ".png"}


def test_what_is_no_lstm_is_marked_and_never_ranked(faulty_run: Finished) -> None:
    finished, folder = faulty_run
    assert "linear idiomatic float32: NOT verified: " in finished.stdout
    row = next(row for row in read_rows(folder / "tables" / "summary.csv") if row["status"] == "ok")
    assert (row["verified"], row["rank"]) == ("false", "")
    assert "(not verified)" in (folder / "report.md").read_text()


def test_the_runs_folder_holds_what_is_promised(faulty_run: Finished) -> None:
    folder = faulty_run.folder
    cell = "linear-idiomatic-float32-seed0-r0"
    expected = ["run.json", f"cells/{cell}.json", f"cells/{cell}.safetensors", f"logs/{cell}.log", "report.md"]
    tables = ["summary.csv", "summary.md", "loss.csv", "bit_error_by_length.csv", "bit_error_by_length.md"]
    plots = ["loss.png", "bit_error_by_length.png", "throughput.png", f"copies_{cell}.png"]
    expected += ["report.html", "tables/throughput.csv", *(f"tables/{name}" for name in tables)]
    expected += [f"plots/{name}" for name in plots]
    assert [name for name in expected if not (folder / name).is_file()] == []


def test_lines_on_a_terminal_of_80_columns_are_not_cut(faulty_run: Finished) -> None:
    finished, folder = faulty_run
    lines = finished.stdout.partition(" # trained")[2].partition(str(folder))[0].splitlines()
    assert len(lines) > 3
    assert max(len(line) for line in lines) <= 80


def test_report_makes_the_same_bytes_again(faulty_run: Finished, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(faulty_run.folder, tmp_path / "copy"))
    tables = sorted((folder / "tables").iterdir())
    before = {table.name: table.read_bytes() for table in tables}
    for table in tables:
        table.unlink()
    assert harness("report", folder).returncode == 0
    assert {table.name: table.read_bytes() for table in sorted((folder / "tables").iterdir())} == before


def test_resume_keeps_what_is_complete_and_does_the_rest_again(faulty_run: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(faulty_run.folder, tmp_path / "copy")
    finished = harness("run", "--backend", "linear,raising", *SMALL, "--resume", folder)
    assert finished.returncode == 1
    assert "linear-idiomatic-float32-seed0-r0: complete, kept" in finished.stdout
    assert (folder / "attempts" / "raising-idiomatic-float32-seed0-r0.1.json").is_file()
