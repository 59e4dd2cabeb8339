"""Kill a run at a random moment, resume it, and compare its tables with an undisturbed run's; again and again.

    python scripts/kill_and_resume.py --kills 50

After each kill: no process of the run is left, no record is half a file, `run --resume` ends well and keeps every cell
that was complete byte for byte, `check` finds no fault, and every column that does not measure time or memory is as in
the undisturbed run. Ends with 0 where all of that held each time, else 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[1]
MARK = "KILL_AND_RESUME"
RECIPE = ["--set", "model.hidden=8", "--set", "model.layers=2", "--set", "task.max_length=3"]
RECIPE += ["--set", "train.steps=200", "--set", "train.batch=8", "--set", "evaluate.test_batches=2"]
# What is the same each time on one machine: nothing that a clock or a memory counter had a part in.
SAME = {
    "summary": "backend implementation precision device status seeds train_loss original_loss bits_per_sequence "
    "bit_error n_parameters verified cells",
    "loss": "backend implementation precision seed repeat step sequences train_loss",
    "bit_error_by_length": "backend implementation precision seed length sequences bit_error exact_fraction "
    "bits_per_sequence",
    "timeline": "cell backend implementation precision seed repeat status",
}


@dataclass(frozen=True)
class Trial:
    """What one kill met, and what was wrong afterwards."""

    moment_s: float
    n_complete: int
    n_cells: int
    stage: str
    faults: list[str]


def main() -> int:
    options = parse_options()
    randomness = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        command = ["run", "--backend", options.backend, "--threads", "1", *RECIPE, "--seeds", options.seeds]
        harness(*command, "--out", str(folder / "warm"))
        begun_s = time.monotonic()
        undisturbed = harness(*command, "--out", str(folder / "undisturbed"))
        duration_s = time.monotonic() - begun_s
        if undisturbed.returncode:
            print(undisturbed.stdout + undisturbed.stderr)
            return 1
        expected = read_tables(folder / "undisturbed")
        print(f"undisturbed: {duration_s:.1f} s", flush=True)
        trials = []
        for number in range(options.kills):
            moment_s = randomness.uniform(0, duration_s)
            trial = kill_and_resume(command, folder / f"run-{number}", moment_s, expected)
            trials.append(trial)
            told = f"{trial.n_complete} of {trial.n_cells} cells complete, {trial.stage}"
            print(f"{number + 1:3} killed at {moment_s:5.2f} s: {told}: {'; '.join(trial.faults) or 'ok'}", flush=True)
    return report(trials)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--backend", default="reference,torch", help="of the runs")
    parser.add_argument("--seeds", default="0", help="of the runs")
    return parser.parse_args()


def report(trials: list[Trial]) -> int:
    met = Counter(trial.stage for trial in trials)
    n_faulty = len([trial for trial in trials if trial.faults])
    n_kept = sum(trial.n_complete for trial in trials)
    print(f"{len(trials)} kills: " + ", ".join(f"{count} {stage}" for stage, count in met.most_common()))
    print(f"complete cells at the kills: {n_kept}, all kept" if not n_faulty else f"{n_faulty} trials with faults")
    return 1 if n_faulty else 0


def kill_and_resume(command: list[str], folder: Path, moment_s: float, expected: dict[str, list[str]]) -> Trial:
    run = start(*command, "--out", str(folder))
    try:
        run.wait(moment_s)
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGKILL)
        run.wait()
    faults = [f"process {pid} is left" for pid in survivors()]
    kept, half = read_records(folder)
    faults += [f"{name} is half a file" for name in half]
    stage = find_stage(folder, len(kept))
    again = ["run", "--resume", str(folder)] if folder.exists() else [*command, "--out", str(folder)]
    resumed = harness(*again)
    faults += [f"--resume ended with {resumed.returncode}: {resumed.stderr}"] if resumed.returncode else []
    after, _ = read_records(folder)
    faults += [f"{name} was lost" for name, content in kept.items() if after.get(name) != content]
    checked = harness("check", str(folder))
    faults += [f"check: {checked.stdout}"] if checked.returncode else []
    tables = read_tables(folder)
    faults += [f"{name} differs" for name, rows in expected.items() if tables[name] != rows]
    return Trial(moment_s, len(kept), len(after), stage, faults)


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, MARK: str(os.getpid())}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    process = start(*arguments)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def survivors(patience_s: float = 5.0) -> list[int]:
    """Processes of the run that are there after the kill and stay."""
    deadline_s = time.monotonic() + patience_s
    while (found := list(marked())) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return found


def marked() -> Iterator[int]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(os.getpid()) and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid
        except psutil.Error:
            continue


def read_records(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """The records of cells that ended well, and those that are not JSON."""
    records: dict[str, bytes] = {}
    half = []
    for path in sorted((folder / "cells").glob("*.json")):
        try:
            if json.loads(path.read_bytes())["status"] == "ok":
                records[path.name] = path.read_bytes()
        except ValueError:
            half.append(path.name)
    return records, half


def find_stage(folder: Path, n_complete: int) -> str:
    if not folder.exists():
        return "before its folder"
    if (folder / "report.html").exists():
        return "after its report"
    if (folder / "tables").exists():
        return "while reporting"
    logs = [path for path in (folder / "logs").iterdir() if not path.name.startswith("ceiling-")]
    return "while training" if n_complete or logs else "before its first cell"


def read_tables(folder: Path) -> dict[str, list[str]]:
    """The rows of each table in the columns that are the same each time, sorted: the report sorts by speed."""
    tables = {}
    for name, columns in SAME.items():
        with (folder / "tables" / f"{name}.csv").open(newline="") as stream:
            rows = [json.dumps([row[column] for column in columns.split()]) for row in csv.DictReader(stream)]
        tables[name] = sorted(rows)
    return tables


if __name__ == "__main__":
    sys.exit(main())
