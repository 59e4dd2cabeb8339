"""One cell: its record, its parameters, its log and its earlier attempts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load

from harness.commands.check.findings import Findings
from harness.records.older import modernise
from harness.records.schema import MAXIMUM_FILE_BYTES, SEALED_SINCE, UnreadableFile, digest, is_sealed, read_json
from harness.records.shape import Head, Making, shape_fault
from harness.records.validation import Fault, parameter_faults, provenance_faults, record_faults
from harness.task.recipe import RunConfig


def check_cell(
    folder: Path, name: str, description: Mapping[str, Any], config: RunConfig, findings: Findings
) -> dict[str, Any]:
    """The cell's record, empty where it cannot be used."""
    file = f"cells/{name}.json"
    try:
        record = read_json(folder / file)
    except FileNotFoundError:
        findings.add(file, "there is no record: the cell was not run to its end")
        return {}
    except (UnreadableFile, OSError) as error:
        findings.add(file, f"it cannot be read: {error}")
        return {}
    version = description["schema_version"]
    if record.get("schema_version") != version:
        findings.add(file, f"it is {record.get('schema_version')!r}, but run.json has {version}", "schema_version")
        return {}
    kinds = [Head, Making] if version >= SEALED_SINCE else [Head]
    faults = [fault for kind in kinds if (fault := shape_fault(record, kind))]
    findings.add_all(file, faults)
    if faults:
        return {}
    findings.add_all(file, _head_faults(record, name))
    if version >= SEALED_SINCE:
        findings.add_all(file, _making_faults(record, description))
        _check_attempts(folder, name, record["attempt"], findings)
    _check_parameters(folder, name, record, config, findings)
    content_faults = record_faults(modernise(record, version), config)
    findings.add_all(file, content_faults)
    if not content_faults:
        findings.add_all(file, [Fault("", f"{fault}; so it was left out") for fault in record.get("faults", [])])
    if record.get("status") != "not_installed" and not (folder / "logs" / f"{name}.log").is_file():
        findings.add(f"logs/{name}.log", "it is missing")
    return record


def _head_faults(record: Mapping[str, Any], name: str) -> list[Fault]:
    said = f"{record['backend']}-{record['implementation']}-{record['precision']}"
    said += f"-seed{record['seed']}-r{record['repeat']}"
    faults = []
    if record["cell"] != name:
        faults.append(Fault("cell", f"it is {record['cell']!r}, but the file is named {name}"))
    if said != name:
        faults.append(Fault("backend", f"its identity is {said!r}, but the file is named {name}"))
    if record["verified"] and record["verification_reason"] is not None:
        faults.append(Fault("verification_reason", "what is verified has none"))
    if record.get("faulty") and not record.get("faults"):
        faults.append(Fault("faulty", "fields were left out, and no fault says why"))
    return faults


def _making_faults(record: Mapping[str, Any], description: Mapping[str, Any]) -> list[Fault]:
    faults = []
    if not is_sealed(record):
        faults.append(Fault("sha256", "the record was altered after it was written"))
    if record["configuration_sha256"] != digest(description["configuration"]):
        faults.append(Fault("configuration_sha256", "it is not that of run.json's configuration"))
    if record.get("status") == "ok":
        faults += provenance_faults(record.get("provenance") or {})
    known = {None, *(node["node"] for node in description.get("nodes", []))}
    if not {record.get("node"), *record.get("nodes", [])} <= known:
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


def _check_parameters(
    folder: Path, name: str, record: Mapping[str, Any], config: RunConfig, findings: Findings
) -> None:
    file = f"cells/{name}.safetensors"
    path, expected = folder / file, record.get("parameters_sha256")
    if not path.is_file():
        kept = record.get("status") == "ok" or expected is not None
        if kept and not findings.may_miss(file):
            hint = 'if it was left out, say so in run.json: "left_out": ["cells/*.safetensors"]'
            findings.add(file, f"it is missing; {hint}")
        return
    if path.is_symlink() or path.stat().st_size > 16 * MAXIMUM_FILE_BYTES:
        findings.add(file, "it is a link or too large to be read")
        return
    content = path.read_bytes()
    if record["schema_version"] >= SEALED_SINCE and hashlib.sha256(content).hexdigest() != expected:
        findings.add(file, "it is not the file of its record", "parameters_sha256")
    try:
        parameters = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        findings.add(file, f"it cannot be read: {error}")
        return
    if record.get("status") == "ok":
        findings.add_all(file, parameter_faults(parameters, config.model_spec().shapes()))
