"""A run's folder as a whole: run.json, what lies in the folder, every cell, the ceiling, the tables and the sums."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec

from harness.commands.check.cell import check_cell
from harness.commands.check.findings import MAY_BE_LEFT_OUT, Findings
from harness.commands.check.tables import check_tables
from harness.records.older import modernise
from harness.records.schema import (
    CEILING_APART_SINCE,
    READABLE_VERSIONS,
    SAFE_NAME,
    SCHEMA_VERSION,
    SEALED_SINCE,
    UnreadableFile,
    read_json,
)
from harness.records.shape import CeilingFile, Share, shape_fault
from harness.task.presets import ConfigurationError, convert
from harness.task.recipe import RunConfig, product_shapes

# Formats that can run code when they are opened, or that nothing here writes.
UNSAFE_SUFFIXES = (
    *(".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".bin", ".ckpt"),
    *(".npy", ".npz", ".h5", ".keras", ".pb"),
)
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Node:
    """A node of a cluster that cells ran on."""

    node: str
    cpu: str
    gpus: list[str | None]
    physical_cores: int | None = None


@dataclass(frozen=True)
class Description:
    """run.json in every version."""

    schema_version: int
    created: str
    preset: str
    command: str
    configuration: dict[str, dict[str, Any]]
    resources: dict[str, Any]
    environment: dict[str, Any]
    cells: Annotated[list[str], msgspec.Meta(min_length=1)]
    a_a: dict[str, str | int] | None = None
    left_out: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class Session:
    started: str
    command: str
    environment: dict[str, Any]
    # What other processes used of the processors before the first cell; None on a cluster, and of a run that was ended.
    other_cpu_share: Share | None = None


@dataclass(frozen=True)
class Asked:
    """What version 2 added to run.json."""

    options: dict[str, Any]
    sessions: Annotated[list[Session], msgspec.Meta(min_length=1)]


def find_faults(folder: Path) -> Findings:
    """Everything that is wrong with a run's folder. Raises nothing for what lies in it."""
    findings = Findings()
    description = _check_description(folder, findings)
    if description is None:
        return findings
    _check_tree(folder, findings)
    config = _check_configuration(description, findings)
    if config is None:
        return findings
    records = {
        name: check_cell(folder, name, description, config, findings)
        for name in description["cells"]
        if SAFE_NAME.fullmatch(name)
    }
    findings.n_cells = len(records)
    _check_strangers(folder, description["cells"], findings)
    _check_ceiling(folder, description, config, records, findings)
    check_tables(folder, findings)
    _check_sums(folder, description["cells"], findings)
    return findings


def _check_description(folder: Path, findings: Findings) -> dict[str, Any] | None:
    """run.json; None where nothing else can be judged without it."""
    try:
        description = read_json(folder / "run.json")
    except (UnreadableFile, OSError) as error:
        findings.add("run.json", f"it cannot be read: {error}")
        return None
    version = description.get("schema_version")
    if version not in READABLE_VERSIONS:
        findings.add("run.json", f"it is {version!r}; versions 1 to {SCHEMA_VERSION} can be checked", "schema_version")
        return None
    kinds = [Description, Asked] if version >= SEALED_SINCE else [Description]
    faults = [fault for kind in kinds if (fault := shape_fault(description, kind))]
    findings.add_all("run.json", faults)
    if faults:
        return None
    _check_index(description["cells"], findings)
    for pattern in description.get("left_out", []):
        if pattern in MAY_BE_LEFT_OUT:
            findings.left_out.append(pattern)
            findings.remarks.append(f"{pattern}: left out, as run.json says")
        else:
            findings.add("run.json", f"{pattern!r} cannot be left out; {', '.join(MAY_BE_LEFT_OUT)} can", "left_out")
    return description


def _check_index(cells: list[str], findings: Findings) -> None:
    for number, name in enumerate(cells):
        if not SAFE_NAME.fullmatch(name):
            findings.add("run.json", f"{name!r} is not safe as the name of a file", f"cells[{number}]")
        elif name in cells[:number]:
            findings.add("run.json", f"{name} is there twice", f"cells[{number}]")


def _check_configuration(description: Mapping[str, Any], findings: Findings) -> RunConfig | None:
    try:
        return convert(modernise(description, description["schema_version"])["configuration"])
    except ConfigurationError as error:
        findings.add("run.json", str(error), "configuration")
        return None


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


def _check_ceiling(
    folder: Path,
    description: Mapping[str, Any],
    config: RunConfig,
    records: Mapping[str, Mapping[str, Any]],
    findings: Findings,
) -> None:
    try:
        content = read_json(folder / "ceiling.json")
    except FileNotFoundError:
        content = {"schema_version": description["schema_version"], "samples": []}
    except (UnreadableFile, OSError) as error:
        findings.add("ceiling.json", f"it cannot be read: {error}")
        return
    if description["schema_version"] < CEILING_APART_SINCE:
        _check_gathered(content.get("samples"), records, findings)
    elif fault := shape_fault(content, CeilingFile):
        findings.add_all("ceiling.json", [fault])
    else:
        _check_samples(content["samples"], description["cells"], product_shapes(config), findings)


def _check_samples(
    samples: list[Mapping[str, Any]], cells: list[str], shapes: list[tuple[int, int, int]], findings: Findings
) -> None:
    """Each was taken before all cells or after one of them, of a product that the configured network is made of."""
    for number, sample in enumerate(samples):
        shape = (sample["m"], sample["k"], sample["n"])
        if shape not in shapes:
            findings.add("ceiling.json", f"its product is {shape}, none of {shapes}", f"samples[{number}]")
        if sample["after"] not in (None, *cells):
            findings.add("ceiling.json", "run.json names no such cell", f"samples[{number}].after")


def _check_gathered(samples: Any, records: Mapping[str, Mapping[str, Any]], findings: Findings) -> None:
    """In earlier versions the file gathers what the records hold, in the order of the cells."""
    expected = [sample for name, record in records.items() for sample in _samples_of(name, record)]
    if samples == expected:
        return
    if not isinstance(samples, list) or len(samples) != len(expected):
        n_samples = len(samples) if isinstance(samples, list) else "no"
        findings.add("ceiling.json", f"it has {n_samples} samples, but the records hold {len(expected)}", "samples")
        return
    number = next(place for place, sample in enumerate(samples) if sample != expected[place])
    findings.add("ceiling.json", "it is not what the record holds", f"samples[{number}]")


def _samples_of(name: str, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The samples that a record of an earlier version holds, as ceiling.json has them."""
    whose = {"after": name, "backend": record.get("backend"), "precision": record.get("precision")}
    samples = record.get("ceiling")
    known = [sample for sample in samples if isinstance(sample, dict)] if isinstance(samples, list) else []
    return [{**whose, "device": record.get("device"), **sample} for sample in known]


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
