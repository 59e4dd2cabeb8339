"""What differs between the machines, the software and the settings that the runs were made with."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.analysis.compare.runs import ComparedRun, Difference, find_differences
from harness.machine import PASSING
from harness.records.schema import flatten


def surrounding_differences(runs: list[ComparedRun]) -> list[Difference]:
    """Values of the environments, the resources and each shared variant's settings that are not equal in all."""
    shared = [key for key in runs[0].variants if all(key in run.variants for run in runs)]
    return find_differences({run.letter: _surroundings(run, shared) for run in runs})


def _surroundings(run: ComparedRun, shared: list[tuple[str, ...]]) -> dict[str, Any]:
    file = run.run.file
    settings = {run.labels[key]: run.variants[key].cells[0].settings or {} for key in shared}
    nodes = {"nodes": sorted(run.run.hardware)} if file.nodes else {}
    lasting = {name: value for name, value in file.environment.items() if name not in PASSING}
    nested = {"environment": lasting, "resources": msgspec.to_builtins(file.resources), **nodes, **settings}
    return {name: value for name, value in flatten(nested).items() if value is not None}
