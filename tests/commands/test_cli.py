"""The command line as people use it: real processes, exit statuses and what is on the disk afterwards."""

from __future__ import annotations

import json
import os
import platform
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backends import BACKENDS, FRAMEWORKS
from harness import __version__
from harness.cli import main
from harness.task.presets import load_preset, preset_names
from tests.command import PROJECT, SMALL, Finished, command, environment, harness, invoke, read_rows
from tests.frameworks import each_framework


def test_the_reference_is_a_backend_and_is_verified(reference_run: Finished) -> None:
    assert reference_run.process.returncode == 0
    (row,) = read_rows(reference_run.folder / "tables" / "summary.csv")
    assert (row["backend"], row["verified"], row["rank"]) == ("reference", "true", "1")


def test_memory_cpu_time_and_inference_are_measured_and_shown(reference_run: Finished) -> None:
    (row,) = read_rows(reference_run.folder / "tables" / "summary.csv")
    for name in ("process_memory_bytes", "cpu_ms", "inference_sequences_per_s", "latency_ms", "latency_p95_ms"):
        assert float(row[name]) > 0, name
    record = json.loads((reference_run.folder / "cells" / "reference-idiomatic-float32-seed0-r0.json").read_text())
    assert (record["inference"]["length"], record["inference"]["batch"]) == (2, 256)
    assert record["timeline"]["inference_s"] > sum(record["inference"]["single_s"])
    for page in ("report.md", "report.html"):
        assert "Memory, CPU time and inference" in (reference_run.folder / page).read_text()
    assert (reference_run.folder / "plots" / "costs.png").is_file()


def test_json_is_on_stdout_alone(reference_run: Finished) -> None:
    answer = json.loads(reference_run.process.stdout)
    assert answer["folder"] == str(reference_run.folder)
    assert answer["summary"][0]["status"] == "ok"


def test_resume_alone_goes_on_as_the_run_was_asked_for(reference_run: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(reference_run.folder, tmp_path / "copy")
    kept = (folder / "cells" / "reference-idiomatic-float32-seed0-r0.json").read_bytes()
    (folder / "cells" / "reference-idiomatic-float32-seed0-r1.safetensors").write_bytes(b"")
    finished = harness("run", "--resume", folder)
    assert finished.returncode == 0
    assert "seed0-r0: complete, kept" in finished.stdout
    assert "seed0-r1: rerun: its parameters are not those of its record" in finished.stdout
    assert (folder / "cells" / "reference-idiomatic-float32-seed0-r0.json").read_bytes() == kept
    attempts = sorted(path.name for path in (folder / "attempts").iterdir())
    assert attempts == [f"reference-idiomatic-float32-seed0-r1.1.{end}" for end in ("json", "log", "safetensors")]
    assert invoke("check", folder).exit_code == 0
    refused = harness("run", "--resume", folder, "--preset", "quick", *SMALL, "--set", "train.batch=7")
    assert refused.returncode == 2
    assert refused.stderr == f"Error: {folder} was run with train.batch = 4, not 7\n"


def test_resume_refuses_what_a_new_run_would(reference_run: Finished) -> None:
    folder = reference_run.folder
    before = (folder / "run.json").read_bytes()
    for wrong in (["--backend", "reference", "--implementation", "tuned"], ["--backend", "reference", "--ranks", "3"]):
        refused = invoke("run", *wrong, "--resume", folder)
        assert refused.exit_code == 2
        assert len(refused.output.splitlines()) == 1
    assert (folder / "run.json").read_bytes() == before


def test_a_full_disk_keeps_what_can_be_kept(tmp_path: Path) -> None:
    """No file may grow beyond 130,000 bytes: the parameters of the larger model do not fit, its record does."""
    folder = tmp_path / "run"
    larger = ["--set", "model.hidden=64", "--set", "train.steps=9", "--set", "model.layers=1"]
    larger += ["--set", "evaluate.sequences=20"]
    code = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (130_000, 130_000));"
    code += "runpy.run_module('harness', run_name='__main__')"
    asked = [sys.executable, "-c", code, "run", "--backend", "reference", *larger, "--out", str(folder)]
    finished = subprocess.run(asked, capture_output=True, text=True, cwd=PROJECT, timeout=120)
    assert finished.returncode == 1
    assert "Traceback" not in finished.stdout + finished.stderr
    record = json.loads((folder / "cells" / "reference-idiomatic-float32-seed0-r0.json").read_text())
    assert (record["status"], record["reason"]) == ("failed", "it could not be written: File too large")
    assert len(record["losses"]) == 9
    assert not list(folder.rglob("*.tmp"))
    # With room again, the cell is rerun and the report with it.
    assert harness("run", "--resume", folder).returncode == 0
    assert invoke("check", folder).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--backend", "pytorch"],
            "unknown backend 'pytorch'; did you mean torch? allowed: all, torch, tensorflow, jax",
        ),
        (["--implementation", "fast"], "unknown implementation 'fast'; allowed: all, idiomatic, tuned"),
        (["--implementation", "tunned"], "unknown implementation 'tunned'; did you mean tuned? allowed: all"),
        (["--preset", "quik"], "unknown preset 'quik'; did you mean quick? allowed: "),
        (["--device", "gpu"], "unknown device 'gpu'; allowed: auto, cpu, cuda, cuda:N"),
        (["--set", "model.hiden=3"], "unknown key model.hiden; did you mean model.hidden? allowed: "),
        (["--set", "train.batch=0"], "train.batch must be at least 1, not 0"),
        (["--seeds", "0,-1"], "--seeds '0,-1': allowed are whole numbers of at least 0"),
        (["--threads", "4096"], "--threads 4096: this process may use 1 "),
        (
            ["--precision", "float8"],
            "unknown precision 'float8'; did you mean float64? allowed: float32, float64, tf32, bfloat16",
        ),
        (["--repeats", "0"], "0 is not in the range x>=1"),
        (["--timeout", "nan"], "--timeout nan: allowed are seconds above 0"),
        (["--seeds", "18446744073709551616"], "the largest seed is 18446744073709551615"),
        (["--set", "evaluate.seed=18446744073709551616"], "evaluate.seed must be at most 18446744073709551615"),
        (
            ["--backend", "reference", "--implementation", "tuned"],
            "reference has no implementation tuned; allowed: idiomatic",
        ),
        (
            ["--backend", "torch,reference", "--implementation", "tuned"],
            "reference has no implementation tuned; allowed: idiomatic",
        ),
        (["--backend", "reference", "--device", "cuda"], "--device cuda: the reference runs on a CPU only"),
        (["--ranks", "3"], "--ranks 3 do not divide train.batch = 16; allowed are 1, 2, 4, 8, 16"),
        (["--ranks", "2", "--device", "cuda:0"], "--device cuda:0 with --ranks 2: each takes a GPU"),
    ],
)
def test_wrong_usage_is_one_line_exit_status_2_and_nothing_written(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    refused = invoke("run", *arguments, "--out", tmp_path / "run")
    assert refused.exit_code == 2
    assert message in refused.output.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_one_line_of_the_process_too(tmp_path: Path) -> None:
    finished = harness("run", "--backend", "linear", *SMALL, "--out", tmp_path)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == f"Error: {tmp_path} already exists; name it with --resume to go on there\n"


@pytest.mark.parametrize("name", each_framework())
def test_a_gpu_that_is_not_there_is_refused_before_anything_runs(name: str, tmp_path: Path) -> None:
    finished = harness("run", "--backend", name, "--device", "cuda:7", "--out", tmp_path / "run")
    assert finished.returncode == 2
    assert "no device cuda:7" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_report_of_something_else_is_refused(tmp_path: Path) -> None:
    refused = invoke("report", tmp_path)
    assert refused.exit_code == 2
    assert "no run.json" in refused.output


def test_help_is_quick_next_to_python_itself() -> None:
    def seconds(*arguments: str) -> float:
        started_s = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, cwd=PROJECT)
        return time.perf_counter() - started_s

    helps = [seconds("-m", "harness", "--help") for _ in range(3)]
    imports = [seconds("-c", "import numpy, pandas, matplotlib.figure") for _ in range(3)]
    assert min(helps) < min(imports)


def test_what_makes_no_report_loads_nothing_that_reports_need() -> None:
    names = ["listing", "verify", "load", "recall", "show_environment"]
    modules = ", ".join(f"harness.commands.{name}" for name in names)
    heavy = "{'pandas', 'matplotlib', 'scipy.stats'}"
    code = f"import sys, {modules}; sys.exit(str(loaded) if (loaded := {heavy} & {{*sys.modules}}) else 0)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT)
    assert finished.returncode == 0, finished.stderr


def test_env_is_for_readers_and_with_json_for_programs() -> None:
    assert json.loads(harness("env", "--json").stdout)["python"] == platform.python_version()
    lines = invoke("env").output.splitlines()
    assert max(map(len, lines)) <= 80
    assert f"python {platform.python_version()}" in [" ".join(line.split()) for line in lines]


def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    parent, child = pty.openpty()
    asked = command("run", "--backend", "slow", *SMALL, "--out", tmp_path / "run")
    with subprocess.Popen(asked, stdout=child, stderr=child, env=environment(TERM="xterm"), cwd=PROJECT) as process:
        os.close(child)
        output = _read_terminal(parent)
        process.wait(60)
    assert "sequences/s" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)


def _read_terminal(descriptor: int) -> str:
    content = b""
    try:
        while piece := os.read(descriptor, 65536):
            content += piece
    except OSError:
        pass  # A terminal whose last writer is gone answers with an error, not with an end.
    os.close(descriptor)
    return content.decode(errors="replace")


def test_list_says_in_a_line_what_each_preset_trains_and_how_much_work_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.processes.selection.Selection.targets", lambda _: [])
    lines = [line.split() for line in invoke("list", "--backend", "reference").output.splitlines()]
    assert [line[0] for line in lines[1 : 1 + len(preset_names())]] == preset_names()
    works = {line[0]: line[-1] for line in lines[1 : 1 + len(preset_names())]}
    original, quick = load_preset("original"), load_preset("quick")
    sequences = {
        "original": original.train.steps * original.train.batch,
        "quick": quick.train.steps * quick.train.batch,
    }
    # Both pad every batch to its longest, so their work is that of so many time steps with so many parameters.
    ratio = (sequences["original"] * 42 * 1_326_088) / (sequences["quick"] * 12 * 335_368)
    assert works["quick"] == "1"
    assert float(works["original"].replace(",", "")) == pytest.approx(ratio, rel=0.05)
    assert f"{sequences['original']:,}" in lines[2]


def test_list_fits_80_columns() -> None:
    listed = invoke("list", "--backend", "reference")
    assert max(map(len, listed.output.splitlines())) <= 80
    assert "reference" in listed.output


@pytest.mark.parametrize("name", ["", *main.commands])
def test_help_fits_80_columns(name: str) -> None:
    lines = invoke(*([name] if name else []), "--help").output.splitlines()
    assert [line for line in lines if len(line) > 80] == []


def test_help_shows_defaults_and_version_names_the_distribution() -> None:
    assert "[default: quick]" in invoke("run", "--help").output
    assert "[default: throughput]" in " ".join(invoke("sweep", "--help").output.split())
    assert invoke("--version").output == f"lstm-copy-benchmark, version {__version__}\n"


def test_list_has_what_was_chosen_alone() -> None:
    chosen = json.loads(harness("list", "--backend", "reference", "--json").stdout)["backends"]
    assert [row["implementation"] for row in chosen] == ["idiomatic"]
    refused = invoke("list", "--backend", "reference", "--implementation", "tuned")
    assert refused.exit_code == 2
    assert refused.output == "Error: reference has no implementation tuned; allowed: idiomatic\n"


@pytest.mark.parametrize(("preset", "counted"), [("original", "1,326,088"), ("paper", "1,352,969")])
@pytest.mark.parametrize("name", each_framework())
def test_list_counts_the_parameters_in_the_framework_itself(name: str, preset: str, counted: str) -> None:
    finished = harness("list", "--backend", name, "--preset", preset)
    assert finished.returncode == 0
    assert finished.stdout.count(counted) == len(BACKENDS[name].implementations)


@pytest.mark.framework
@pytest.mark.skipif(bool(BACKENDS["torch"].missing_packages()), reason="torch is not installed")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only there oneDNN can be told to do without")
def test_a_processor_without_an_lstm_in_bfloat16_is_unsupported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    chosen = ["--backend", "torch", "--implementation", "tuned", "--precision", "bfloat16,float32", "--threads", "1"]
    harness("run", *chosen, *SMALL, "--out", tmp_path / "run")
    rows = {row["precision"]: row for row in read_rows(tmp_path / "run" / "tables" / "summary.csv")}
    assert {precision: row["status"] for precision, row in rows.items()} == {"bfloat16": "unsupported", "float32": "ok"}
    assert rows["bfloat16"]["reason"].startswith("PyTorch has no LSTM in bfloat16 on this processor: ")


@pytest.mark.framework
@pytest.mark.skipif(
    not [name for name in FRAMEWORKS if BACKENDS[name].missing_packages()],
    reason="every framework is installed here, so none can be reported as missing",
)
def test_all_reports_what_is_not_installed_with_its_extra(tmp_path: Path) -> None:
    small = [*SMALL, "--set", "task.max_length=2"]
    finished = harness("run", "--backend", "all", *small, "--out", tmp_path / "run")
    rows = {row["backend"]: row for row in read_rows(tmp_path / "run" / "tables" / "summary.csv")}
    for name in FRAMEWORKS:
        if BACKENDS[name].missing_packages():
            assert rows[name]["status"] == "not_installed"
            assert f"pip install '.[{name}]'" in rows[name]["reason"]
        else:
            assert rows[name]["status"] == "ok"
    installed = [name for name in FRAMEWORKS if not BACKENDS[name].missing_packages()]
    assert finished.returncode == (0 if installed else 1)
