"""Who used the machine while a cell trained: its own processes, of every rank and ended ones too, or others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cells import other_processes
from harness.cells.guard import MARK
from harness.cells.other_processes import OtherProcesses
from tests.command import PROJECT, SMALL, harness, read_rows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux' /proc")


def test_whatever_a_cell_started_is_its_own(tmp_path: Path) -> None:
    asked = ["--backend", "crowded", "--threads", "1", "--ranks", "2", *SMALL, "--set", "train.batch=8"]
    harness("run", *asked, "--out", tmp_path / "run", CROWD="1")
    (row,) = read_rows(tmp_path / "run" / "tables" / "throughput.csv")
    # Without the children that ended it would be 0.19. It is not quite 0: the crowd goes on while it is counted.
    assert float(row["other_cpu_share"]) < 0.1


def run_script(text: str, *arguments: str, mark: str = "") -> str:
    """What a process that does this prints, which bears the mark."""
    command = [sys.executable, "-c", text, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), MARK: mark}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=100).stdout


LOOK = """
import subprocess, sys, time
from harness.cells.other_processes import OtherProcesses, cell_busy_s

# A process of its own: what looks is to have a parent that started nothing else.
if not sys.argv[1:]:
    print(subprocess.run([sys.executable, "-c", sys.orig_argv[2], "look"], stdout=subprocess.PIPE, text=True).stdout)
else:
    others, before_s = OtherProcesses(), cell_busy_s()
    time.sleep(1)
    print(others.share(), cell_busy_s() - before_s)
"""


def test_what_runs_beside_a_cell_is_its_own_only_where_it_bears_the_cells_mark() -> None:
    spin = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(spin, env={**os.environ, MARK: "cell-rank1"}) as other:
        try:
            others_share, no_s = map(float, run_script(LOOK, mark="another-rank0").split())
            _, cell_s = map(float, run_script(LOOK, mark="cell-rank0").split())
        finally:
            other.kill()
    assert others_share > 0.03
    # What looks takes some ticks itself.
    assert no_s < 0.1 < cell_s


COUNT = """
import os, subprocess, sys, time
from harness.cells.guard import adopt_orphans
from harness.cells.other_processes import cell_busy_s

adopt_orphans()
burn = [sys.executable, "-c", "import time\\nwhile time.process_time() < 0.5: pass"]
before_s = cell_busy_s()
if sys.argv[1] == "waited for":
    subprocess.run(burn)
elif sys.argv[1] == "not waited for":
    child = subprocess.Popen(burn)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
else:
    if not os.fork():
        subprocess.Popen(burn)
        os._exit(0)
    os.wait()
    # The orphan comes to us, and ends.
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
print(cell_busy_s() - before_s)
"""


@pytest.mark.parametrize("how", ["waited for", "not waited for", "orphaned"])
def test_a_process_that_has_ended_is_still_the_cells(how: str) -> None:
    # Ticks of 10 ms, in four numbers.
    assert float(run_script(COUNT, how)) > 0.45


def test_of_a_moment_nothing_is_said_and_without_proc_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    others = OtherProcesses()
    assert others.share() is None
    monkeypatch.setattr(other_processes, "LEAST_STRETCH_S", 0.0)
    assert others.share() is not None
    monkeypatch.setattr(other_processes, "machine_busy_s", lambda: None)
    assert others.share() is None
    assert OtherProcesses().share() is None
