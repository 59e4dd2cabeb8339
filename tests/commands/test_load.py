"""What other processes use before a run: a real one that computes, one of our own, and none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.commands import load as machine_load
from harness.commands.check import check
from harness.commands.load import Load, await_quiet, look
from tests.command import SMALL, environment


@pytest.fixture
def hog(tmp_path: Path) -> Path:
    """A program that computes until it is ended."""
    path = tmp_path / "hog"
    path.write_text("#!/bin/sh\nwhile :; do :; done\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def foreign_hog(hog: Path) -> Iterator[None]:
    """One that runs, at a lower priority, and is no child of ours."""
    started = subprocess.run(["sh", "-c", f"nice -n 2 {hog} >&2 & echo $!"], stdout=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        os.kill(int(started.stdout), signal.SIGKILL)


@pytest.mark.usefixtures("foreign_hog")
def test_a_process_that_computes_is_seen_and_named() -> None:
    load = look()
    assert load.share > 0.05
    assert "hog" in load.programs


def test_what_this_process_has_started_is_left_out(hog: Path) -> None:
    with subprocess.Popen([str(hog)]) as own:
        try:
            load = look()
        finally:
            own.kill()
    assert "hog" not in load.programs


@pytest.mark.usefixtures("foreign_hog")
def test_a_run_waits_says_for_what_and_keeps_the_share_but_no_name(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    hurried = "from harness import cli; from harness.commands import load; load.PATIENCE_S = 1; cli.main()"
    asked = [sys.executable, "-c", hurried, "run", "--backend", "reference", *SMALL, "--out", str(folder), "-q"]
    looking = {name: value for name, value in environment().items() if name != "UNDISTURBED"}
    finished = subprocess.run(asked, env=looking, capture_output=True, text=True, timeout=200)
    assert (finished.returncode, finished.stdout) == (0, f"{folder}\n")
    waiting, warning = finished.stderr.splitlines()
    assert waiting.startswith("Waiting up to 1 s: other processes use ")
    assert warning.startswith("Warning: other processes use ")
    assert warning.endswith("Speeds measured now are doubtful; the report says what others used during each cell.")
    text = (folder / "run.json").read_text()
    assert json.loads(text)["sessions"][-1]["other_cpu_share"] > 0.05
    assert "hog" not in text
    assert check(folder) == 0


def test_on_a_quiet_machine_nothing_is_said_or_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 0.0)
    said: list[str] = []
    assert await_quiet(said.append) == 0.0
    assert said == []


def test_the_run_begins_as_soon_as_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([Load(0.5, ["make", "cc", "cc1", "ld"]), Load(0.2, ["cc"]), Load(0.01, ["make"])])
    monkeypatch.setattr(machine_load, "look", lambda: next(looks))
    said: list[str] = []
    assert await_quiet(said.append) == 0.01
    assert said == ["Waiting up to 30 s: other processes use 50 % of the processors (make, cc, cc1)."]
