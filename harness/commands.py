"""What the commands do, once their options are checked."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.environment import describe_environment
from harness.plan import Cell, Plan, plan_cells
from harness.presets import ConfigurationError, preset_names
from harness.progress import CellProgress
from harness.report import print_summary, summary_rows, write_report
from harness.results import RunFolder, default_folder
from harness.runner import run_cell
from harness.selection import Selection, describe, parse_seeds
from harness.verdict import Verdict, record_verdicts, verify_brief


def run(selection: Selection, options: Mapping[str, Any]) -> int:
    """Train every cell, keep every record, report; 0 where every cell went well, else 1."""
    console = Console(stderr=bool(options["as_json"]))
    folder, went_well = run_cells(selection, options, console)
    if options["as_json"]:
        rows = {"folder": str(folder), "summary": summary_rows(folder)}
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        print_summary(folder, console)
        console.print(f"Report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
    return 0 if went_well else 1


def run_cells(selection: Selection, options: Mapping[str, Any], console: Console) -> tuple[Path, bool]:
    """Train every cell into a run's folder and write its report; the folder, and whether every cell went well."""
    seeds = parse_seeds(options["seeds"])
    plan = plan_cells(selection.backends, selection.implementations, selection.precisions, seeds, options["repeats"])
    cells = plan.cells
    folder = _open_folder(selection, options, plan)
    console.print(f"{len(cells)} cells into {folder.path}", soft_wrap=True, highlight=False)
    verdicts = _verify(cells, selection, console)
    record_verdicts(folder.path / "run.json", verdicts)
    statuses = [_run_one(cell, verdicts.get(cell.variant), selection, folder, console) for cell in cells]
    folder.write_ceiling(cells)
    write_report(folder.path)
    # What nobody named one by one may be missing, or unable to compute in every precision.
    harmless = {"ok", *(["not_installed"] if selection.everything else [])}
    harmless |= {"unsupported"} if options["implementation"] == "all" else set()
    trained = [verdicts[cell.variant] for cell, status in zip(cells, statuses, strict=True) if status == "ok"]
    went_well = bool(trained) and all(verdict.verified for verdict in trained)
    return folder.path, went_well and all(status in harmless for status in statuses)


def report(folder: Path) -> None:
    if not (folder / "run.json").is_file():
        raise ConfigurationError(f"{folder} is no run's folder: it has no run.json")
    write_report(folder)
    console = Console()
    print_summary(folder, console)
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True, highlight=False)


def list_backends(selection: Selection) -> None:
    """Count the parameters where they are: in each framework's own model, in a process of its own."""
    console = Console()
    console.print(f"Presets: {', '.join(preset_names())}", highlight=False)
    model = selection.config.model
    network = f"{model.layers} x {model.hidden}"
    table = Table("backend", "implementation", "versions", "device", f"parameters of {network}", box=None)
    for backend in selection.backends:
        missing = backend.missing_packages()
        for implementation in backend.implementations:
            if missing:
                table.add_row(backend.name, implementation, "not installed", "", f"[dim]extra: {backend.extra}[/]")
                continue
            outcome = describe(backend, implementation, selection)
            versions = ", ".join(f"{name} {version}" for name, version in backend.versions().items())
            counted = f"{outcome.body['n_parameters']:,}" if outcome.status == "ok" else str(outcome.reason)
            device = str(outcome.body.get("settings", {}).get("device", ""))
            table.add_row(backend.name, implementation, versions, device, counted)
    console.print(table)


def _open_folder(selection: Selection, options: Mapping[str, Any], plan: Plan) -> RunFolder:
    if options["out"] and options["resume"]:
        raise ConfigurationError("--out and --resume name two folders; give one of them")
    description = {
        "preset": selection.preset,
        "command": shlex.join(["python", "-m", "harness", *sys.argv[1:]]),
        "configuration": selection.config.to_dict(),
        "resources": {"device": selection.resources.device, "threads": selection.resources.threads},
        "environment": describe_environment(),
        "cells": [cell.name for cell in plan.cells],
        "a_a": plan.a_a,
    }
    if options["resume"]:
        return RunFolder.resume(options["resume"], description)
    return RunFolder.create(options["out"] or default_folder(selection.preset), description)


def _verify(cells: list[Cell], selection: Selection, console: Console) -> dict[tuple[str, ...], Verdict]:
    """Prove each variant in brief before any is timed."""
    verdicts: dict[tuple[str, ...], Verdict] = {}
    for cell in cells:
        key = cell.variant
        if key in verdicts or cell.backend.missing_packages():
            continue
        verdicts[key] = verify_brief(
            cell.backend,
            cell.implementation,
            cell.precision,
            selection.resources,
            optimizer=selection.config.optimizer,
            layers=selection.config.model.layers,
        )
        result = "verified" if verdicts[key].verified else f"NOT verified: {verdicts[key].reason}"
        console.print(f"{' '.join(key)}: {result}", soft_wrap=True, highlight=False, markup=False)
    return verdicts


def _run_one(
    cell: Cell,
    verdict: Verdict | None,
    selection: Selection,
    folder: RunFolder,
    console: Console,
) -> str:
    if folder.is_complete(cell):
        console.print(f"{cell.name}: complete, kept", highlight=False)
        return "ok"
    started_s = time.monotonic()
    with CellProgress(cell.name, selection.config.train.steps, console) as progress:
        outcome = run_cell(cell, selection.config, selection.resources, folder.log(cell), progress.show)
    record = {**outcome.body, "status": outcome.status, "reason": outcome.reason}
    record["verified"] = verdict.verified if verdict else None
    record["verification_reason"] = verdict.reason if verdict else None
    folder.write_cell(cell, record, outcome.arrays)
    reason = f": {outcome.reason}" if outcome.reason else ""
    took = f"{time.monotonic() - started_s:.1f} s"
    console.print(f"{cell.name}: {outcome.status} in {took}{reason}", soft_wrap=True, highlight=False, markup=False)
    return outcome.status
