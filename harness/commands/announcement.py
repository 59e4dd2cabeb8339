"""What a run is going to do, said before it begins, and how much of it is left, said after every cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.machine import find_processors, gpu_devices, visible_gpus, write_list
from harness.machine.variables import withheld_variables
from harness.processes.process import Resources
from harness.processes.selection import Selection
from harness.records.identity import PlannedCell
from harness.report.quantities import count, count_between
from harness.task.recipe import RunConfig


def describe_plan(selection: Selection, cells: Sequence[PlannedCell]) -> Iterator[str]:
    """Lines: what is trained, with which recipe, on what."""
    config, resources = selection.config, selection.resources
    variants = dict.fromkeys(f"{cell.backend.name} {cell.implementation}" for cell in cells)
    repeats = len({cell.repeat for cell in cells if cell.backend.name == cells[-1].backend.name})
    seeds = sorted({cell.seed for cell in cells})
    n_cells = f"{len(cells)} cells in turn, each" if len(cells) > 1 else "one cell,"
    ranks = resources.ranks
    process = "a fresh process" if ranks == 1 else f"{ranks} fresh processes that train it together"
    yield (
        f"Trains {', '.join(variants)} in {', '.join(selection.precisions)}, seed{'s' * (len(seeds) > 1)}"
        f" {', '.join(map(str, seeds))}: {n_cells} in {process}{', repeats interleaved' * (repeats > 1)}."
    )
    steps, batch = count(config.train.steps, "step"), count(config.train.batch, "sequence")
    yield (f"Preset {selection.preset}: {_describe_task(config)}, {steps} of {batch}.")
    device = {"auto": "a GPU where the framework sees one, else the CPU"}.get(resources.device, resources.device)
    yield f"Device: {device}; {resources.threads} CPU thread{'s' * (resources.threads > 1)}{' a rank' * (ranks > 1)}."
    missing = dict.fromkeys(cell.backend.name for cell in cells if cell.backend.missing_packages())
    if missing:
        yield f"Not installed, so only a row with the reason: {', '.join(missing)}."
    if withheld := withheld_variables():
        yield f"Environment variables that workers are not handed: {', '.join(withheld)}."


def _describe_task(config: RunConfig) -> str:
    patterns = count_between(config.task.min_length, config.task.max_length, "vector")
    return f"patterns of {patterns}, {config.model.layers} x {config.model.hidden} units"


def describe_processors(resources: Resources) -> str:
    """Which processors a cell takes here, rank by rank, why where the machine or a quota decided it, and whether GPUs
    are hidden."""
    processors, n_ranks = find_processors(), resources.ranks
    places = [resources.of_rank(rank).cpus() for rank in range(n_ranks)]
    named = "; ".join("any" if cpus is None else write_list(cpus) for cpus in places)
    is_default = resources.threads == max(1, processors.default // n_ranks)
    why = f" ({processors.reason})" if is_default and processors.reason else ""
    n_gpus = 0 if resources.device == "cpu" else len(gpu_devices())
    n_visible = len(visible_gpus(n_gpus))
    hidden = f" CUDA_VISIBLE_DEVICES shows {n_visible} of {n_gpus} GPUs." if n_visible < n_gpus else ""
    return f"Processors{' of each rank' * (n_ranks > 1)}: {named}{why}.{hidden}"
