"""A run's folder as a whole: run.json, its files, every cell, the ceiling, the tables, the sums and the report."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import msgspec

from harness.commands.check.cell import check_cell
from harness.commands.check.findings import MAY_BE_LEFT_OUT, Findings
from harness.commands.check.report import check_report
from harness.commands.check.tables import check_tables
from harness.records.fault import shape_fault
from harness.records.schema import SAFE_NAME, SCHEMA_VERSION, UnreadableFile, read_json
from harness.records.structs import CeilingFile, Product, RunFile
from harness.task.presets import ConfigurationError, convert
from harness.task.recipe import product_shapes

# Formats that can run code when they are opened, or that nothing here writes.
UNSAFE_SUFFIXES = (
    ".pkl",
    ".pickle",
    ".joblib",
    ".dill",
    ".pt",
    ".pth",
    ".bin",
    ".ckpt",
    ".npy",
    ".npz",
    ".h5",
    ".keras",
    ".pb",
)
SUMS = "SHA256SUMS"


def find_faults(folder: Path) -> Findings:
    """Everything that is wrong with a run's folder. Raises nothing for what lies in it."""
    findings = Findings()
    description = _check_description(folder, findings)
    if description is None:
        return findings
    _check_tree(folder, findings)
    names = [name for name in description.cells if SAFE_NAME.fullmatch(name)]
    for name in names:
        check_cell(folder, name, description, findings)
    findings.n_cells = len(names)
    _check_strangers(folder, description.cells, findings)
    _check_ceiling(folder, description, findings)
    analysis = check_tables(folder, findings)
    _check_sums(folder, description.cells, findings)
    # It takes seconds to make, and where something else is wrong it cannot be right.
    if analysis and not findings.faults:
        check_report(folder, description, analysis, findings)
    return findings


def _check_description(folder: Path, findings: Findings) -> RunFile | None:
    """run.json; None where nothing else can be judged without it."""
    try:
        content = read_json(folder / "run.json")
    except (UnreadableFile, OSError) as error:
        findings.add("run.json", f"it cannot be read: {error}")
        return None
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        findings.add("run.json", f"it is {version!r}; version {SCHEMA_VERSION} can be checked", "schema_version")
        return None
    if fault := shape_fault(content, RunFile):
        findings.add_all("run.json", [fault])
        return None
    try:
        # Keys that no recipe has are refused.
        convert(content["configuration"])
    except ConfigurationError as error:
        findings.add("run.json", str(error), "configuration")
        return None
    description = msgspec.convert(content, RunFile)
    _check_whole(description, findings)
    _check_index(description.cells, findings)
    for pattern in description.left_out:
        if pattern in MAY_BE_LEFT_OUT:
            findings.left_out.append(pattern)
            findings.remarks.append(f"{pattern}: left out, as run.json says")
        else:
            findings.add("run.json", f"{pattern!r} cannot be left out; {', '.join(MAY_BE_LEFT_OUT)} can", "left_out")
    return description


def _check_whole(description: RunFile, findings: Findings) -> None:
    """What every run of ours says, though a report can do without it."""
    for name in ("created", "preset", "command", "environment", "options", "cells", "sessions"):
        if not getattr(description, name):
            findings.add("run.json", "it is missing", name)


def _check_index(cells: list[str], findings: Findings) -> None:
    for number, name in enumerate(cells):
        if not SAFE_NAME.fullmatch(name):
            findings.add("run.json", f"{name!r} is not safe as the name of a file", f"cells[{number}]")
        elif name in cells[:number]:
            findings.add("run.json", f"{name} is there twice", f"cells[{number}]")


def _check_tree(folder: Path, findings: Findings) -> None:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            findings.add(name, "it is a link, and could lead out of the folder")
        elif path.suffix.lower() in UNSAFE_SUFFIXES:
            findings.add(name, "a file of this kind is no part of a run, and may not be safe to open")
        elif path.name.startswith(".") and path.suffix == ".tmp":
            findings.remarks.append(f"{name}: left by a writer that was ended; --resume removes it")


def _check_strangers(folder: Path, cells: list[str], findings: Findings) -> None:
    """Records and parameters that run.json does not name are in no table."""
    for path in sorted((folder / "cells").glob("*")):
        name = re.sub(r"(\.checkpoint)?\.safetensors$|\.json$", "", path.name)
        if not path.name.startswith(".") and (name == path.name or name not in cells):
            findings.add(f"cells/{path.name}", "run.json names no such cell")


def _check_ceiling(folder: Path, description: RunFile, findings: Findings) -> None:
    try:
        content = read_json(folder / "ceiling.json")
    except FileNotFoundError:
        return
    except (UnreadableFile, OSError) as error:
        findings.add("ceiling.json", f"it cannot be read: {error}")
        return
    if fault := shape_fault(content, CeilingFile):
        findings.add_all("ceiling.json", [fault])
        return
    samples = msgspec.convert(content, CeilingFile).samples
    _check_samples(samples, description.cells, product_shapes(description.configuration), findings)


def _check_samples(
    samples: list[Product], cells: list[str], shapes: list[tuple[int, int, int]], findings: Findings
) -> None:
    """Each was taken before all cells or after one of them, of a product that the configured network is made of."""
    for number, sample in enumerate(samples):
        shape = (sample.m, sample.k, sample.n)
        if shape not in shapes:
            findings.add("ceiling.json", f"its product is {shape}, none of {shapes}", f"samples[{number}]")
        if sample.after not in (None, *cells):
            findings.add("ceiling.json", "run.json names no such cell", f"samples[{number}].after")


def _check_sums(folder: Path, cells: list[str], findings: Findings) -> None:
    """SHA256SUMS, as sha256sum writes it: made where a run is published, so that a later change shows."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        findings.add(SUMS, f"it cannot be read: {error}")
        return
    named = set()
    for number, line in enumerate(lines, 1):
        parts = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if not parts or PurePosixPath(parts[2]).is_absolute() or ".." in PurePosixPath(parts[2]).parts:
            findings.add(SUMS, "it is not a digest and the name of a file in this folder", f"line {number}")
            continue
        named.add(parts[2])
        path = folder / parts[2]
        if path.is_symlink() or not path.is_file():
            findings.add(parts[2], f"it is missing, though {SUMS} names it")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != parts[1]:
            findings.add(parts[2], f"it is not the file that {SUMS} was made from")
    for file in ["run.json", *(f"cells/{name}.json" for name in cells)]:
        if file not in named:
            findings.add(file, f"it is not in {SUMS}")
