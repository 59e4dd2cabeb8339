"""One cell: its record, its parameters, its log and its earlier attempts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load

from harness.commands.check.findings import Findings
from harness.records.fault import Fault, shape_fault
from harness.records.parameter_faults import parameter_faults
from harness.records.record_faults import record_faults
from harness.records.schema import MAXIMUM_FILE_BYTES, SCHEMA_VERSION, UnreadableFile, digest, is_sealed, read_json
from harness.records.structs import Cell, RunFile
from harness.task.recipe import RunConfig


def check_cell(folder: Path, name: str, description: RunFile, findings: Findings) -> None:
    file = f"cells/{name}.json"
    try:
        record = read_json(folder / file)
    except FileNotFoundError:
        findings.add(file, "there is no record: the cell was not run to its end")
        return
    except (UnreadableFile, OSError) as error:
        findings.add(file, f"it cannot be read: {error}")
        return
    version = record.get("schema_version")
    if version != SCHEMA_VERSION:
        findings.add(file, f"it is {version!r}, but run.json has {SCHEMA_VERSION}", "schema_version")
        return
    if fault := shape_fault(record, Cell):
        findings.add_all(file, [fault])
        return
    cell = msgspec.convert(record, Cell)
    findings.add_all(file, _head_faults(cell, name))
    if not is_sealed(record):
        findings.add(file, "the record was altered after it was written", "sha256")
    findings.add_all(file, _making_faults(cell, description))
    _check_attempts(folder, name, cell.attempt, findings)
    _check_parameters(folder, cell, description.configuration, findings)
    content_faults = record_faults(record, description.configuration)
    findings.add_all(file, content_faults)
    if not content_faults:
        findings.add_all(file, [Fault("", f"{fault}; so it was left out") for fault in cell.faults])
    if cell.status != "not_installed" and not (folder / "logs" / f"{name}.log").is_file():
        findings.add(f"logs/{name}.log", "it is missing")


def _head_faults(cell: Cell, name: str) -> list[Fault]:
    said = f"{cell.backend}-{cell.implementation}-{cell.precision}-seed{cell.seed}-r{cell.repeat}"
    faults = []
    if cell.cell != name:
        faults.append(Fault("cell", f"it is {cell.cell!r}, but the file is named {name}"))
    if said != name:
        faults.append(Fault("backend", f"its identity is {said!r}, but the file is named {name}"))
    if cell.verified and cell.verification_reason is not None:
        faults.append(Fault("verification_reason", "what is verified has none"))
    if cell.faulty and not cell.faults:
        faults.append(Fault("faulty", "fields were left out, and no fault says why"))
    return faults


def _making_faults(cell: Cell, description: RunFile) -> list[Fault]:
    faults = []
    if cell.configuration_sha256 != digest(description.configuration.to_dict()):
        faults.append(Fault("configuration_sha256", "it is not that of run.json's configuration"))
    if cell.status == "ok" and not (cell.provenance and cell.provenance.code):
        faults.append(Fault("provenance.code", "it names no source"))
    known = {None, *(node.node for node in description.nodes)}
    if not {cell.node, *cell.nodes} <= known:
        faults.append(Fault("node", "run.json names no such node"))
    return faults


def _check_attempts(folder: Path, name: str, attempt: int, findings: Findings) -> None:
    """The attempts before this one are all there."""
    # A number made up by hand must not make this count for ever.
    for number in range(1, min(attempt, 10_000)):
        stem = folder / "attempts" / f"{name}.{number}"
        if not any(Path(f"{stem}{suffix}").is_file() for suffix in (".json", ".log", ".safetensors")):
            findings.add(f"attempts/{name}.{number}.*", f"it is missing, though the record is of attempt {attempt}")
            return


def _check_parameters(folder: Path, cell: Cell, config: RunConfig, findings: Findings) -> None:
    file = f"cells/{cell.cell}.safetensors"
    path, expected = folder / file, cell.parameters_sha256
    if not path.is_file():
        kept = cell.status == "ok" or expected is not None
        if kept and not findings.may_miss(file):
            hint = 'if it was left out, say so in run.json: "left_out": ["cells/*.safetensors"]'
            findings.add(file, f"it is missing; {hint}")
        return
    if path.is_symlink() or path.stat().st_size > 16 * MAXIMUM_FILE_BYTES:
        findings.add(file, "it is a link or too large to be read")
        return
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected:
        findings.add(file, "it is not the file of its record", "parameters_sha256")
    try:
        parameters = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        findings.add(file, f"it cannot be read: {error}")
        return
    if cell.status == "ok":
        findings.add_all(file, parameter_faults(parameters, config.model_spec().shapes()))
