"""Speed along axes: one value changes, all else stays as in the preset, and every point is a normal run."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.analysis.analysis import Analysis
from harness.analysis.scaling import AXES as SCALING_AXES
from harness.analysis.scaling import WEAK, SweepRow, sweep_rows
from harness.commands.output import make_console, print_json
from harness.commands.run import run_cells
from harness.processes.options import ChosenOptions, SweepOptions
from harness.processes.saying import say
from harness.processes.selection import Selection, check_device, choose, parse_seeds
from harness.records.folder import default_folder
from harness.report.sweep import print_sweep, write_sweep
from harness.task.presets import ConfigurationError, load_preset

THREADS, RANKS = "threads", "ranks"
# The key of the configuration that an axis varies; threads and ranks are options instead. ranks is two axes at once:
# strong scaling, the batch as in the preset, and weak scaling, that batch for each rank.
KEYS = {"batch": "train.batch", "hidden": "model.hidden", "layers": "model.layers", "length": "task.max_length"}
AXES = (*KEYS, THREADS, RANKS)


@dataclasses.dataclass(frozen=True)
class Point:
    axis: str
    value: int

    @property
    def name(self) -> str:
        return f"{self.axis}-{self.value}"


def sweep(options: SweepOptions) -> int:
    """Run every point below one folder and report; 0 where every cell went well, else 1, or 128 and the number of the
    signal that ended it.

    Raises ConfigurationError before anything is written.
    """
    parse_seeds(options.seeds)
    plan = [(point, choose_point(point, options)) for point in parse_points(options.sweeps)]
    _, first = plan[0]
    check_device(first.targets(), first.config, first.resources)
    folder = new_folder(options.out)
    console = make_console(stderr=options.as_json, quiet=options.quiet)
    rows: list[SweepRow] = []
    measured: dict[tuple[str, int], Analysis] = {}
    exit_code = 0
    for number, (point, selection) in enumerate(plan, 1):
        say(console, f"Point {number} of {len(plan)}: {point.axis} = {point.value}")
        point_options = dataclasses.replace(options, ranks=selection.resources.ranks, out=folder / point.name)
        end = run_cells(selection, point_options, console)
        measured[point.axis, point.value] = end.analysis
        rows = sweep_rows(measured)
        exit_code = max(exit_code, end.exit_code)
        # A sweep takes long: what is done is reported even if the rest never is.
        write_sweep(folder, rows, options.preset)
        if end.interrupted:
            break
    if options.as_json:
        print_json({"folder": str(folder), "points": [dataclasses.asdict(row) for row in rows]})
    elif options.quiet:
        sys.stdout.write(f"{folder}\n")
    else:
        print_sweep(rows, console)
        say(console, f"Report: {folder / 'sweep.md'}")
    return exit_code


def parse_points(texts: Iterable[str]) -> list[Point]:
    """The points of every "axis=value,...", in the order given. Raises ConfigurationError."""
    points: dict[str, list[Point]] = {}
    for text in texts:
        axis, _, values = text.partition("=")
        axis = axis.strip()
        if axis not in AXES:
            raise ConfigurationError(f"--sweep {text!r}: allowed axes are {', '.join(AXES)}, as AXIS=VALUE,...")
        if axis in points:
            raise ConfigurationError(f"--sweep {text!r}: {axis} is swept already; give all its values at once")
        points[axis] = [Point(axis, value) for value in _parse_values(text, values)]
    if RANKS in points:
        of_ranks = points.pop(RANKS)
        points |= {axis: [Point(axis, point.value) for point in of_ranks] for axis in SCALING_AXES}
    return [point for chosen in points.values() for point in chosen]


def choose_point(point: Point, options: ChosenOptions) -> Selection:
    """The selection with the point's value in force. Raises ConfigurationError where that is not allowed."""
    # A sweep's tables are of training: timing inference at every point would only make it longer.
    options = dataclasses.replace(options, overrides=("inference.rounds=0", *options.overrides))
    if point.axis == THREADS:
        return choose(dataclasses.replace(options, threads=point.value))
    if point.axis in SCALING_AXES:
        batch = load_preset(options.preset, options.overrides).train.batch
        batch *= point.value if point.axis == WEAK else 1
        overrides = (*options.overrides, f"train.batch={batch}")
        return choose(dataclasses.replace(options, overrides=overrides, ranks=point.value))
    overrides = (*options.overrides, f"{KEYS[point.axis]}={point.value}")
    return choose(dataclasses.replace(options, overrides=overrides))


def new_folder(out: Path | None) -> Path:
    """Where the sweep goes; made with the first point. Raises ConfigurationError where it is already there."""
    folder = out or default_folder("sweep")
    if folder.exists():
        raise ConfigurationError(f"{folder} already exists; a sweep starts a new folder")
    return folder


def _parse_values(text: str, values: str) -> list[int]:
    parts = [part.strip() for part in values.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigurationError(f"--sweep {text!r}: allowed are whole numbers of at least 1, with commas between")
    return list(dict.fromkeys(map(int, parts)))
