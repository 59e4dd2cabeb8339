"""The script that prints the model of scaling: the page has what it prints of the published sweep."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from tests.documentation import PROJECT, commands

PAGE = "docs/scaling.md"


def test_the_page_has_what_the_script_prints_of_the_published_sweep() -> None:
    (command,) = (command for command in commands(PAGE) if "model_scaling" in command)
    finished = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]], capture_output=True, text=True, cwd=PROJECT, timeout=60
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    page = Path(PROJECT, PAGE).read_text(encoding="utf-8").splitlines()
    printed = [line for line in finished.stdout.splitlines() if line]
    assert len(printed) > 10
    assert [line for line in printed if line not in page] == []
