"""Make a run's report again from its records."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from harness.analysis.analysis import Analysis
from harness.commands.output import make_console, print_json, warn_of_writers
from harness.processes.saying import say
from harness.report import analyse_folder, print_summary, summary_rows, write_analysis
from harness.task.presets import ConfigurationError


def report(folder: Path, *, as_json: bool) -> None:
    """Raises ConfigurationError where there is no run, or its report cannot be written."""
    analysis = analyse_folder(folder)
    warn_of_writers(folder)
    try:
        write_analysis(analysis, folder)
    except OSError as error:
        raise ConfigurationError(f"the report of {folder} cannot be written: {error.strerror}") from None
    if as_json:
        print_as_json(folder, analysis)
    else:
        print_report(folder, analysis, make_console())


def print_as_json(folder: Path, analysis: Analysis) -> None:
    print_json({"folder": str(folder), "summary": summary_rows(analysis)})


def print_report(folder: Path, analysis: Analysis, console: Console) -> None:
    print_summary(analysis, console)
    say(console, f"Report: {folder / 'report.html'}")
