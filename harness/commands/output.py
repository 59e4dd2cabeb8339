"""How text reaches a terminal, a file or a pipe: never a traceback, and no cursor movements where nobody watches."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.records.durable import find_holder

# Terminals that say of themselves that they cannot move their cursor.
CANNOT_MOVE = ("dumb", "unknown")


class _Enduring(io.FileIO):
    """Standard output whose reader may go, as `head` does: the command then ends its work, and says so once."""

    is_gone = False

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            if not self.is_gone:
                self.is_gone = True
                sys.stderr.write("Warning: standard output was closed; the command goes on without it\n")
            return len(content)


def prepare_output() -> None:
    """For the start of the program: a stream that is closed is /dev/null, a character that cannot be written is
    replaced, and a reader that goes ends nothing."""
    # Figures are written to files; matplotlib ends with a traceback where this names no backend of its own.
    os.environ.pop("MPLBACKEND", None)
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    raw = _Enduring(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "replace", line_buffering=raw.isatty())
    sys.stderr = sys.stderr or io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding, write_through=True)


def warn_of_writers(*folders: Path) -> None:
    """Say, on standard error, which of these folders' runs are still being written."""
    for folder in folders:
        if holder := find_holder(folder):
            sys.stderr.write(f"Warning: {holder} works in {folder}; what it has not written yet counts as missing\n")


def print_json(content: Any) -> None:
    """The one document that --json has on standard output. Raises ValueError for a number that JSON cannot hold."""
    sys.stdout.write(json.dumps(content, indent=1, allow_nan=False) + "\n")


def make_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console on standard output or error. Only a terminal that can move its cursor has bars and colours, whatever
    FORCE_COLOR says: a log has plain lines."""
    for name in ("COLUMNS", "LINES"):
        # A width of none, or in digits that are not ours, is no width.
        if not re.fullmatch("0*[1-9][0-9]*", os.environ.get(name, "1")):
            del os.environ[name]
    stream = sys.stderr if stderr else sys.stdout
    watched = stream.isatty() and os.environ.get("TERM", "").lower() not in CANNOT_MOVE
    return Console(stderr=stderr, quiet=quiet, force_terminal=watched)
