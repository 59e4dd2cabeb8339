"""The figure of quality: lines of the records' own evaluations, and what others published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import draw_evidence
import numpy as np
import pytest
from matplotlib.image import imread

from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from tests.documentation import PROJECT, commands

SCRIPT = PROJECT / "scripts" / "draw_evidence.py"


def draw(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, cwd=PROJECT, timeout=60)


@pytest.fixture(scope="module")
def arguments() -> list[str]:
    """Of the command that a page names."""
    (command,) = {command for command in commands("docs/learning.md") if "draw_evidence" in command}
    return command.split()[2:]


def test_the_published_picture_is_drawn_by_the_command_beside_it(arguments: list[str], tmp_path: Path) -> None:
    *runs, option, out = arguments
    assert option == "--out"
    finished = draw(*runs, "--out", str(tmp_path / "drawn.png"))
    assert (finished.returncode, finished.stderr) == (0, "")
    # The same pixels can be packed in more than one way.
    np.testing.assert_array_equal(imread(tmp_path / "drawn.png"), imread(PROJECT / out))


def test_a_line_is_the_median_of_the_seeds(arguments: list[str]) -> None:
    name, _, folder = arguments[0].partition("=")
    run = read_run(Path(PROJECT, folder))
    panel = draw_evidence.plot_evidence({name: analyse(run)}).axes[2]
    drawn = {str(line.get_label()): line for line in panel.lines}
    cells = [cell for cell in run.cells if cell.backend == "torch"]
    wrong = [[each.wrong_bits_per_sequence for each in cell.evaluations] for cell in cells]
    line = drawn[f"{name}, torch tuned"]
    np.testing.assert_array_equal(line.get_xdata(), [each.sequences for each in cells[0].evaluations])
    np.testing.assert_array_equal(line.get_ydata(), np.median(wrong, axis=0))
    assert "Collier and Beel" in drawn


@pytest.mark.parametrize(
    ("runs", "message"), [(["full"], "a run is NAME=FOLDER"), (["full=nowhere"], "nowhere is no run's folder")]
)
def test_what_is_wrong_is_said_in_one_line(runs: list[str], message: str, tmp_path: Path) -> None:
    finished = draw(*runs, "--out", str(tmp_path / "drawn.png"))
    assert finished.returncode == 2
    assert message in finished.stderr.splitlines()[-1]
