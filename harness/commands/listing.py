"""The command `list`: presets, and what each backend counts, in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backends import Backend, registered_backends
from harness.commands.output import make_console, print_json
from harness.processes.process import missing_reason
from harness.processes.saying import say
from harness.processes.selection import Selection, describe
from harness.records.messages import Described
from harness.report.quantities import integer, number, span
from harness.task.metrics import training_step_operations
from harness.task.presets import load_preset, preset_names
from harness.task.recipe import RunConfig

UNIT_OF_WORK = "quick"
# Steps whose lengths are drawn to estimate the work of all; for `full` within 1 % of drawing every one.
MOST_DRAWN_STEPS = 500
NUMBERS = ("sequences", "work", "parameters")


def list_backends(selection: Selection, *, as_json: bool) -> None:
    """Count the parameters where they are: in each framework's own model, in a process of its own."""
    # Besides what was asked for, or all, whatever other distributions register.
    registered = registered_backends() if selection.everything else []
    listed = [*selection.targets(), *((backend, name) for backend in registered for name in backend.implementations)]
    console = make_console(stderr=as_json)
    with console.status("counting parameters"):
        rows = [_list_row(backend, name, selection) for backend, name in listed]
    if as_json:
        print_json({"presets": preset_names(), "backends": rows})
        return
    _print_presets(console)
    model = selection.config.model
    table = Table(
        "backend", "implementation", "device", "parameters", title=f"\n{model.layers} x {model.hidden} units:"
    )
    _print_table(table, [_counted(row) for row in rows], console)
    console.print()
    for row in rows:
        if row["n_parameters"] is None:
            say(console, f"{row['backend']} {row['implementation']}: {row['reason']}")
    for backend, versions in {row["backend"]: row["versions"] for row in rows}.items():
        named = ", ".join(f"{name} {version}" for name, version in versions.items())
        say(console, f"{backend}: {named or 'no versions known'}")


def _print_presets(console: Console) -> None:
    """A line each: what it trains, on how much, and how much work that is."""
    unit = estimate_operations(load_preset(UNIT_OF_WORK))
    table = Table("preset", "measures", "vectors", "units", "sequences", "work")
    configs = {name: load_preset(name) for name in preset_names()}
    _print_table(table, [_describe(name, config, unit) for name, config in configs.items()], console)
    say(console, f"\nwork: floating-point operations of the training, as multiples of {UNIT_OF_WORK}'s")


def _describe(name: str, config: RunConfig, unit: float) -> list[str]:
    return [
        name,
        "speed, learning" if config.evaluate.learning else "speed",
        span(integer(config.task.min_length), integer(config.task.max_length)),
        f"{config.model.layers} x {config.model.hidden}",
        integer(config.train.steps * config.train.batch),
        number(float(f"{estimate_operations(config) / unit:.2g}")),
    ]


def estimate_operations(config: RunConfig) -> float:
    """Floating-point operations of one training with seed 0, from the time steps of evenly spread batches."""
    n_steps = config.train.steps
    drawn = range(0, n_steps, max(1, n_steps // MOST_DRAWN_STEPS))
    time_steps = sum(config.task.training_time_steps(seed=0, step=step) for step in drawn) / len(drawn)
    step = training_step_operations(config.model_spec().n_parameters(), config.train.batch, time_steps)
    return n_steps * step


def _counted(row: dict[str, Any]) -> list[str]:
    counted = "see below" if row["n_parameters"] is None else integer(row["n_parameters"])
    return [row["backend"], row["implementation"], row["device"] or "", counted]


def _print_table(table: Table, rows: Iterable[list[str]], console: Console) -> None:
    table.box, table.title_justify, table.title_style = None, "left", ""
    for column in table.columns:
        column.justify = "right" if column.header in NUMBERS else "left"
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _list_row(backend: Backend, implementation: str, selection: Selection) -> dict[str, Any]:
    row = {"backend": backend.name, "implementation": implementation, "versions": backend.versions()}
    unknown = {"device": None, "n_parameters": None}
    if backend.problem:
        return {**row, "status": "failed", "reason": backend.problem, **unknown}
    if missing := backend.missing_packages():
        return {**row, "status": "not_installed", "reason": missing_reason(backend, missing), **unknown}
    outcome = describe(backend, implementation, selection.config, selection.precisions[0], selection.resources)
    counted = dict[str, Any](unknown)
    if isinstance(outcome.body, Described):
        counted = {"device": outcome.body.settings.get("device"), "n_parameters": outcome.body.n_parameters}
    return {**row, "status": outcome.status, "reason": outcome.reason, **counted}
