"""The page, report.md and the figures against those that the records give now."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from harness.analysis.analysis import Analysis
from harness.commands.check.findings import Findings
from harness.machine.software import versions
from harness.records.durable import temporary_folder
from harness.records.structs import RunFile
from harness.report.write import COPIES, FIGURES, write_analysis

# What decides about each pixel; another version may draw the same data in another way.
DRAWN_WITH = ("matplotlib", "numpy", "pillow")


def check_report(folder: Path, description: RunFile, analysis: Analysis, findings: Findings) -> None:
    """Compare the report's files that are there with what the report would write."""
    named = ["report.md"]
    if why := _drawn_otherwise(description):
        findings.remarks.append(f"the page and the figures were not compared: {why}")
    else:
        plots = folder / "plots"
        named += ["report.html"]
        named += sorted(f"plots/{path.name}" for pattern in (*FIGURES, COPIES) for path in plots.glob(pattern))
    files = [name for name in named if (folder / name).is_file() and not (folder / name).is_symlink()]
    if not files:
        return
    with temporary_folder() as made:
        try:
            write_analysis(analysis, made)
        except Exception as error:  # Whatever lies in the folder, it is checked to the end.
            findings.add("report.md", f"the records give none: {type(error).__name__}: {error}")
            return
        for name in files:
            if not (made / name).is_file():
                findings.add(name, "the records give no such figure")
            elif not _is_equal(folder / name, made / name):
                findings.add(name, f"it is not what the records give; `report {folder}` makes it again")


def _drawn_otherwise(description: RunFile) -> str | None:
    """Why figures made here may differ from those of the run, though the records are the same."""
    environment, here = description.environment, versions()
    packages = environment.get("packages")
    there = packages if isinstance(packages, dict) else {}
    for name in DRAWN_WITH:
        if there.get(name) != here.get(name):
            return f"the run had {name} {there.get(name)}, and here is {here.get(name)}"
    if environment.get("architecture") != platform.machine():
        return f"the run was made on {environment.get('architecture')}, and this is {platform.machine()}"
    return None


def _is_equal(path: Path, made: Path) -> bool:
    """The same bytes, or the same pixels: they can be packed in more than one way."""
    if path.read_bytes() == made.read_bytes():
        return True
    if path.suffix != ".png":
        return False
    try:
        return np.array_equal(imread(path), imread(made))
    except (OSError, SyntaxError, ValueError):
        return False
