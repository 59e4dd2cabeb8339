"""What a process held, of a made-up folder in /proc and of a real process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.machine.memory import ResidentMemory
from tests.command import PROJECT

KIB = 1024


def tell(folder: Path, *, peak: int, now: int = 0) -> None:
    (folder / "status").write_text(f"Name:\tworker\nVmHWM:\t  {peak} kB\nVmRSS:\t  {now} kB\n")


def test_a_peak_of_before_does_not_hide_a_lower_one_of_later(tmp_path: Path) -> None:
    tell(tmp_path, peak=900, now=400)
    memory = ResidentMemory(tmp_path)
    assert (tmp_path / "clear_refs").read_text() == "5"
    tell(tmp_path, peak=700)
    assert (memory.added_bytes(), memory.peak_bytes()) == (300 * KIB, 900 * KIB)


@pytest.mark.parametrize(("peak", "added"), [(900, None), (901, 501 * KIB)])
def test_where_the_peak_cannot_be_reset_only_a_higher_one_tells(tmp_path: Path, peak: int, added: int | None) -> None:
    (tmp_path / "clear_refs").mkdir()
    tell(tmp_path, peak=900, now=400)
    memory = ResidentMemory(tmp_path)
    tell(tmp_path, peak=peak)
    assert (memory.added_bytes(), memory.peak_bytes()) == (added, peak * KIB)


@pytest.mark.parametrize("status", [None, "Name:\tworker\n"])
def test_a_system_that_does_not_tell_gives_none(tmp_path: Path, status: str | None) -> None:
    if status:
        (tmp_path / "status").write_text(status)
    memory = ResidentMemory(tmp_path)
    assert memory.added_bytes() is memory.peak_bytes() is None


HOLD = """
import numpy as np
from harness.machine.memory import ResidentMemory
np.ones(2**28, np.uint8)
memory = ResidentMemory()
np.ones(2**27, np.uint8)
print(memory.added_bytes(), memory.peak_bytes())
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux' /proc")
def test_a_process_that_freed_more_before_tells_what_it_took_since() -> None:
    finished = subprocess.run([sys.executable, "-c", HOLD], cwd=PROJECT, capture_output=True, check=True, timeout=100)
    added, peak = map(int, finished.stdout.split())
    # The kernel counts what is resident with an error of some pages for each processor.
    assert added == pytest.approx(2**27, abs=2**24)
    assert 2**28 - 2**24 < peak < 2**28 + 2**27
