"""The command line: parse and check, then hand over. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from backends.contract import PRECISIONS
from harness import __version__
from harness.commands.examples import show_examples

if TYPE_CHECKING:
    from harness.processes.options import ChosenOptions
    from harness.processes.selection import Selection

DEVICE_PATTERN = re.compile(r"auto|cpu|cuda(:\d+)?")
EXPORT_FORMATS = ("pytest-benchmark", "pyperf", "tensorboard")
IMPLEMENTATION = click.option("--implementation", default="all", help="idiomatic, tuned or all.")
DEVICE = click.option("--device", default="auto", help="auto, cpu or cuda[:N].")
JSON_SUMMARY = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on standard output.")
THREADS = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="CPU threads. Default: one on each physical core, within a container's quota.",
)


class UsageError(click.ClickException):
    """One line on standard error and exit status 2."""

    exit_code = 2


class PathName(click.Path):
    """A path, there or not, that a file system can have."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if "\0" in str(value):
            self.fail("a path cannot contain a null character", parameter, context)
        return super().convert(value, parameter, context)


def shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose what is run and on what."""
    options = [
        click.option("--backend", "backends", default="all", help="all, or names separated by commas."),
        IMPLEMENTATION,
        click.option("--preset", default="quick", help="Name of a preset, or FILE.toml."),
        click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a key."),
        DEVICE,
        click.option("--precision", default="float32", help=f"Separated by commas: {', '.join(PRECISIONS)}."),
        THREADS,
    ]
    return _decorate(command, options)


def measuring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how often, how long and where to."""
    options = [
        click.option("--seeds", default="0", help="Random seeds, separated by commas."),
        click.option("--repeats", default=1, type=click.IntRange(min=1), help="How many times to train each cell."),
        click.option("--ranks", default=1, type=click.IntRange(min=1), help="Processes that train each cell together."),
        click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that a cell may take."),
        click.option("--out", type=PathName(), help="Folder to write; must not exist yet."),
        click.option("-q", "--quiet", is_flag=True, help="Print only the results' folder."),
        JSON_SUMMARY,
    ]
    return _decorate(command, options)


def _decorate(command: Callable[..., Any], options: list[Callable[..., Any]]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


class Program(click.Group):
    """What stops a command is one line on standard error: exit status 2 for what cannot be done as it was asked for, 1
    for what a disk or a network refuses, 130 for Ctrl-C."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ValueError as error:
            from harness.task.presets import ConfigurationError

            if not isinstance(error, ConfigurationError):
                raise
            raise UsageError(str(error)) from None
        except OSError as error:
            where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from None
        except KeyboardInterrupt:
            sys.exit(130)


@click.group(
    cls=Program,
    epilog=show_examples("main"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
@click.version_option(__version__, prog_name="lstm-copy-benchmark")
def main() -> None:
    """Train the same 3-layer LSTM on the copy task in PyTorch, TensorFlow and JAX, and compare them."""


@main.command(epilog=show_examples("run"))
@shared_options
@measuring_options
@click.option("--stop-at-target", is_flag=True, help="Stop training a cell when it meets the preset's target.")
@click.option("--cluster", metavar="ADDRESS|local", help="Spread the cells over a Ray cluster, HOST:PORT.")
@click.option("--resume", type=PathName(), help="Continue the run in this folder, with its options.")
@click.pass_context
def run(context: click.Context, /, **given: Any) -> None:
    """Train every chosen cell in a fresh process and write a report."""
    from harness.commands.run import run as train
    from harness.processes.options import RunOptions

    options = RunOptions(**given)
    if options.resume:
        from harness.commands.recall import recall

        source = context.get_parameter_source
        options = recall(options, [name for name in given if source(name) != ParameterSource.DEFAULT])
    exit_code = train(_selection(options), options)
    sys.exit(exit_code)


@main.command(epilog=show_examples("sweep"), context_settings={"default_map": {"preset": "throughput"}})
@shared_options
@measuring_options
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    required=True,
    metavar="AXIS=VALUE,...",
    help="Vary one axis and keep the rest of the preset: batch, hidden, layers, length, threads or ranks.",
)
def sweep(**given: Any) -> None:
    """Measure speed along each axis: one run for each value, then tables and scaling plots of all."""
    from harness.commands.sweep import sweep as sweep_axes
    from harness.processes.options import SweepOptions

    options = SweepOptions(**given)
    _check_device(options.device)
    exit_code = sweep_axes(options)
    sys.exit(exit_code)


@main.command(epilog=show_examples("report"))
@click.argument("folder", metavar="RUN", type=PathName())
@JSON_SUMMARY
def report(folder: Path, as_json: bool) -> None:
    """Make every table and plot of RUN again, from its raw records."""
    from harness.commands.report import report as report_run

    report_run(folder, as_json=as_json)


@main.command(epilog=show_examples("export"))
@click.argument("folder", metavar="RUN", type=PathName())
@click.option("--format", "kind", required=True, type=click.Choice(EXPORT_FORMATS), help="The tool that will read it.")
@click.option("--out", type=PathName(), help="New file to write; a new folder for tensorboard.")
def export(folder: Path, kind: str, out: Path | None) -> None:
    """Write RUN in another tool's format. JSON goes to standard output unless --out names a file."""
    from harness.commands.export import export as export_run

    export_run(folder, kind, out)


@main.command(epilog=show_examples("compare"))
@click.argument("folders", metavar="RUN RUN...", nargs=-1, required=True, type=PathName())
@click.option("--fail-if-slower", "limit", metavar="PERCENT", help="Exit with 1 if a step takes that much longer.")
@click.option("--out", type=PathName(), help="New folder for tables and a plot.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON on standard output.")
def compare(folders: tuple[Path, ...], limit: str | None, out: Path | None, as_json: bool) -> None:
    """Compare runs with the first one: speed, what was learned, and how their environments differ."""
    from harness.commands.compare import compare as compare_runs

    exit_code = compare_runs(folders, limit, out, as_json=as_json)
    sys.exit(exit_code)


@main.command()
@click.argument("folder", metavar="RUN", type=PathName())
def check(folder: Path) -> None:
    """Check a run folder for errors."""
    from harness.commands.check import check as check_folder

    exit_code = check_folder(folder)
    sys.exit(exit_code)


@main.command()
@click.argument("folder", metavar="RUN", type=PathName())
@click.option("--lengths", default="10,20,40,120", help="Lengths, separated by commas.")
@click.option("--cell", "cells", multiple=True, metavar="NAME", help="Cell of RUN. Default: one of each backend.")
@click.option("--backend", "backends", help="Compute with the same parameters in these backends too, and compare.")
@click.option("--implementation", help="idiomatic, tuned or all. Default: that of the cell.")
@click.option("--sequence-seed", type=click.IntRange(min=0), help="Seed of the sequences. Default: as in RUN.")
@DEVICE
@THREADS
@click.option("--out", type=PathName(), help="Folder to write. Default: RUN/predictions.")
def predict(folder: Path, **given: Any) -> None:
    """Draw what the trained networks of RUN predict, in their own framework or in another one."""
    from harness.commands.predict import predict as predict_copies
    from harness.processes.options import PredictOptions

    options = PredictOptions(**given)
    _check_device(options.device)
    exit_code = predict_copies(folder, options)
    sys.exit(exit_code)


@main.command(epilog=show_examples("verify"))
@click.option("--backend", "backends", default="all", help="all, or names or modules separated by commas.")
@IMPLEMENTATION
@click.option("--precision", default="all", type=click.Choice(("all", *PRECISIONS)), help="Precision to verify.")
@DEVICE
@click.option("--ranks", default=1, type=click.IntRange(min=1), help="Processes that train together.")
@click.option("-v", "--verbose", is_flag=True, help="Print the worst error of every quantity.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what is not verified.")
@click.option("--json", "as_json", is_flag=True, help="Print the worst errors as JSON on standard output.")
def verify(**given: Any) -> None:
    """Prove that every implementation computes what the reference computes: outputs, gradients and training."""
    from harness.commands.verify import verify as verify_targets
    from harness.processes.options import VerifyOptions

    options = VerifyOptions(**given)
    _check_device(options.device)
    exit_code = verify_targets(options)
    sys.exit(exit_code)


@main.command(name="list", epilog=show_examples("list"))
@shared_options
@click.option("--json", "as_json", is_flag=True, help="Print presets and backends as JSON on standard output.")
def list_(as_json: bool, **given: Any) -> None:
    """List presets with the work each is, and backends with the parameters each counts in the preset's network."""
    from harness.commands.listing import list_backends
    from harness.processes.options import ChosenOptions

    list_backends(_selection(ChosenOptions(**given)), as_json=as_json)


@main.command(epilog=show_examples("env"))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def env(as_json: bool) -> None:
    """Print this machine and what is installed, as every run records it."""
    from harness.commands.output import make_console, print_json
    from harness.commands.show_environment import print_environment
    from harness.machine import describe_environment

    environment = describe_environment()
    if as_json:
        print_json(environment)
    else:
        print_environment(environment, make_console())


def start(name: str | None = None) -> None:
    """The command line as a program."""
    from harness.commands.output import prepare_output

    prepare_output()
    main(prog_name=name)


def _selection(options: ChosenOptions) -> Selection:
    from harness.processes.selection import select

    _check_device(options.device)
    return select(options)


def _check_device(device: str) -> None:
    if not DEVICE_PATTERN.fullmatch(device):
        raise UsageError(f"unknown device {device!r}; allowed: auto, cpu, cuda, cuda:N")
