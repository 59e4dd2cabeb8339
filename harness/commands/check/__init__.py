"""`check RUN`: everything in a run's folder against the schema and against itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harness.commands.check.folder import find_faults
from harness.commands.output import warn_of_writers
from harness.task.one_line import one_line
from harness.task.presets import ConfigurationError


def check(folder: Path) -> int:
    """Print a line for each fault and each remark; 0 where there is no fault, else 1.

    Raises ConfigurationError where `folder` is no run's folder.
    """
    if not os.path.lexists(folder / "run.json"):
        raise ConfigurationError(f"{folder} is no run's folder: it has no run.json")
    warn_of_writers(folder)
    findings = find_faults(folder)
    for fault in findings.faults:
        _print(str(fault))
    for remark in findings.remarks:
        _print(f"remark: {remark}")
    n_faults = len(findings.faults)
    verdict = f"{n_faults} fault{'s' * (n_faults > 1)}" if n_faults else "no fault"
    _print(f"{folder}: {verdict} in {findings.n_cells} cells and {findings.n_tables} tables")
    return 1 if n_faults else 0


def _print(line: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print(one_line(line).encode(encoding, "backslashreplace").decode(encoding))
