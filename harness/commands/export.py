"""The command `export`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.analysis.analysis import Analysis, analyse
from harness.commands.output import warn_of_writers
from harness.records.reading import read_run
from harness.records.structs import Run
from harness.report.exports.pyperf import to_pyperf
from harness.report.exports.pytest_benchmark import to_pytest_benchmark
from harness.report.exports.tensorboard import write_run
from harness.task.presets import ConfigurationError

DOCUMENTS: dict[str, Callable[[Analysis], dict[str, Any]]] = {
    "pytest-benchmark": to_pytest_benchmark,
    "pyperf": to_pyperf,
}
TENSORBOARD = "tensorboard"


def export(folder: Path, kind: str, out: Path | None) -> None:
    """Write the run in another tool's format; a JSON document goes to standard output where no file is named.

    Raises ConfigurationError for a folder that holds no run, or nothing that this format could hold.
    """
    run = read_run(folder)
    warn_of_writers(folder)
    if kind == TENSORBOARD:
        if not any(cell.losses for cell in run.cells):
            raise ConfigurationError(f"{folder} has no losses to export; its report says why")
        _write_events(run, out)
        return
    document = DOCUMENTS[kind](analyse(run))
    if not document["benchmarks"]:
        raise ConfigurationError(f"{folder} has no timed steps to export; its report says why")
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        _write_new(out, text)


def _write_events(run: Run, out: Path | None) -> None:
    if out is None:
        raise ConfigurationError("--format tensorboard writes a folder; name it with --out")
    write_run(run, out)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigurationError(f"--out {path}: {error.strerror}; name a new file") from None
