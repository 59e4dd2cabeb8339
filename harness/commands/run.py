"""Train every cell that was chosen, one after the other, and report."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.analysis.analysis import Analysis
from harness.commands.announcement import describe_plan, describe_processors
from harness.commands.load import await_quiet
from harness.commands.output import make_console
from harness.commands.progress import CellProgress
from harness.commands.recall import remember
from harness.commands.report import print_as_json, print_report
from harness.machine import cpu_model, describe_environment, load_average
from harness.machine.interruption import Interruption, is_interrupted
from harness.machine.privacy import shorten
from harness.machine.provenance import versions
from harness.processes.ceiling import CeilingSampler
from harness.processes.cluster import Cluster, connect, hide_address, run_on_cluster, verify_on_cluster
from harness.processes.keeping import Circumstances, Keeper, Ledger
from harness.processes.options import RunOptions
from harness.processes.plan import Plan, plan_cells
from harness.processes.process import INTERRUPTED, Outcome
from harness.processes.runner import run_cell
from harness.processes.saying import say
from harness.processes.selection import Selection, parse_seeds
from harness.processes.verdict import choose_run_cases, verify_brief
from harness.proof.oracle import forget
from harness.records.checkpoints import checkpoint_path, read_checkpoint, write_checkpoint
from harness.records.folder import FolderTaken, RunFolder, default_folder
from harness.records.identity import PlannedCell
from harness.records.messages import Checkpoint, Message
from harness.records.schema import SCHEMA_VERSION
from harness.records.structs import CellResources, LoadAverage, Making, RunFile, Verification
from harness.report import analyse_folder, write_analysis
from harness.report.quantities import count
from harness.task.presets import ConfigurationError

WIDTH = 80


@dataclass(frozen=True)
class RunEnd:
    """A run's folder, what its records come to, and the exit code that tells how it went."""

    folder: Path
    analysis: Analysis
    exit_code: int
    interrupted: bool


def run(selection: Selection, options: RunOptions) -> int:
    """Train every cell, keep every record, report; 0 where every cell went well, else 1, or 128 and the signal's
    number where one asked for the end."""
    console = make_console(stderr=options.as_json, quiet=options.quiet)
    end = run_cells(selection, options, console)
    if options.quiet:
        _print_failures(end.analysis)
    if options.as_json:
        print_as_json(end.folder, end.analysis)
    elif options.quiet:
        sys.stdout.write(f"{end.folder}\n")
    else:
        print_report(end.folder, end.analysis, console)
    return end.exit_code


def run_cells(selection: Selection, options: RunOptions, console: Console) -> RunEnd:
    """Train every cell into a run's folder and write its report. After a signal the cells that are done are reported
    and the rest is left for --resume."""
    plan = _plan(selection, options)
    cells = plan.cells
    with (
        _connect(selection, options) as (cluster, selection),
        Interruption() as interruption,
        _open_folder(selection, options, plan, cluster) as folder,
    ):
        _announce(selection, plan, folder, cluster, console)
        verdicts = _verify(cells, selection, cluster, console)
        folder.add_verification([*verdicts.values()])
        ledger = Ledger(Keeper(folder, selection.config, verdicts), cells, console, cluster.n_at_once if cluster else 1)
        if cluster:
            run_on_cluster(cluster, ledger, selection, console)
        else:
            _run_in_turn(plan, ledger, selection, console)
        statuses = ledger.close()
        analysis = analyse_folder(folder.path)
        reported = _report_cells(analysis, folder.path, console)
    if interruption:
        n_done = len([status for status in statuses if status != INTERRUPTED])
        done = f"{n_done} of {count(len(cells), 'cell')} done"
        say(console, f"{interruption.name}: {done}; --resume {folder.path} goes on")
        return RunEnd(folder.path, analysis, interruption.exit_code, True)
    # What nobody named one by one may be missing, or unable to compute in every precision.
    harmless = {"ok", *(["not_installed"] if selection.everything else [])}
    harmless |= {"unsupported"} if options.implementation == "all" else set()
    trained = [verdicts[cell.variant] for cell, status in zip(cells, statuses, strict=True) if status == "ok"]
    verified = bool(trained) and all(verdict.verified for verdict in trained)
    whole = reported and not _list_faults(analysis)
    went_well = whole and verified and all(status in harmless for status in statuses)
    return RunEnd(folder.path, analysis, 0 if went_well else 1, False)


def _plan(selection: Selection, options: RunOptions) -> Plan:
    seeds = parse_seeds(options.seeds)
    return plan_cells(selection.backends, selection.implementations, selection.precisions, seeds, options.repeats)


@contextlib.contextmanager
def _connect(selection: Selection, options: RunOptions) -> Iterator[tuple[Cluster | None, Selection]]:
    """The cluster, if one is asked for, and the selection as it is there."""
    address = options.cluster
    if not address:
        yield None, selection
        return
    with connect(address, selection, options.threads) as found:
        yield found


def _print_failures(analysis: Analysis) -> None:
    for row in analysis.summary:
        if row.status != "ok":
            reason = " ".join(str(row.reason).split())
            sys.stderr.write(f"{row.backend} {row.implementation} {row.status}: {reason}\n")
    sys.stderr.write("".join(f"{fault}\n" for fault in _list_faults(analysis)))


def _list_faults(analysis: Analysis) -> list[str]:
    """A line for each fault for which something was left out of the record of a cell that is ok."""
    return [f"{cell.cell}: {fault}" for cell in analysis.run.ok_cells for fault in cell.faults]


def _warn(console: Console, text: str) -> None:
    """Say what those who asked for quiet are told too."""
    say(make_console(stderr=True) if console.quiet else console, text)


def _report_cells(analysis: Analysis, folder: Path, console: Console) -> bool:
    """Whether it could be written: a disk may be full, and the records are there all the same."""
    try:
        with console.status("writing the report"):
            write_analysis(analysis, folder)
    except OSError as error:
        say(console, f"The report could not be written: {error.strerror}; `report {folder}` makes it again")
        return False
    return True


def _open_folder(selection: Selection, options: RunOptions, plan: Plan, cluster: Cluster | None) -> RunFolder:
    if options.out and options.resume:
        raise ConfigurationError("--out and --resume name two folders; give one of them")
    resources = selection.resources
    description = RunFile(
        schema_version=SCHEMA_VERSION,
        preset=selection.preset,
        command=shorten(shlex.join(["python", "-m", "harness", *hide_address(sys.argv[1:])])),
        configuration=selection.config,
        resources=CellResources(resources.device, resources.threads, resources.ranks),
        options=remember(options, resources.threads),
        environment=cluster.environment if cluster else describe_environment(),
        cells=[cell.name for cell in plan.cells],
        a_a=plan.a_a,
        nodes=[node.describe() for node in cluster.nodes] if cluster else [],
    )
    if options.resume:
        return RunFolder.resume(options.resume, description)
    while True:
        try:
            return RunFolder.create(options.out or default_folder(selection.preset), description)
        except FolderTaken:
            # Another run that was started in the same second has the name.
            if options.out:
                raise


def _announce(selection: Selection, plan: Plan, folder: RunFolder, cluster: Cluster | None, console: Console) -> None:
    more = cluster.describe() if cluster else [describe_processors(selection.resources)]
    for line in [*describe_plan(selection, plan.cells), *more]:
        console.print(Text(line), width=min(WIDTH, console.width))
    say(console, f"Results: {folder.path}")


def _verify(
    cells: list[PlannedCell], selection: Selection, cluster: Cluster | None, console: Console
) -> dict[tuple[str, ...], Verification]:
    """Prove each variant in brief before any is timed."""
    verdicts: dict[tuple[str, ...], Verification] = {}
    proven = verify_on_cluster(cluster, cells, selection) if cluster else _verify_here(cells, selection)
    with console.status("verifying against the reference"):
        for verdict in proven:
            verdicts[verdict.variant] = verdict
            result = "verified" if verdict.verified else f"NOT verified: {verdict.reason}"
            say(console, f"{' '.join(verdict.variant)}: {result}")
    return verdicts


def _verify_here(cells: list[PlannedCell], selection: Selection) -> Iterator[Verification]:
    resources = selection.resources
    cases = choose_run_cases(selection.config, list(dict.fromkeys(cell.seed for cell in cells)), resources.ranks)
    try:
        for cell in {cell.variant: cell for cell in cells}.values():
            if cell.backend.missing_packages():
                continue
            verdict = verify_brief(cell.backend, cell.implementation, cell.precision, resources, cases)
            if is_interrupted():
                break
            yield verdict
    finally:
        forget()


def _run_in_turn(plan: Plan, ledger: Ledger, selection: Selection, console: Console) -> None:
    """Train what is not complete, here, one after the other."""
    has_looked, ceiling = False, CeilingSampler(selection, plan, ledger.folder, console)
    for cell in plan.cells:
        if is_interrupted():
            break
        if ledger.is_complete(cell, [_making(cell)]):
            continue
        if not has_looked and not cell.backend.missing_packages():
            has_looked, share = True, await_quiet(partial(_warn, console))
            # A disk that is full has each cell say so.
            with contextlib.suppress(OSError):
                ledger.folder.add_to_session(share)
        ceiling.begin(cell)
        if is_interrupted():
            break
        _run_one(cell, ledger, selection, console)
    ceiling.end()


def _making(cell: PlannedCell) -> Making:
    """What the cell is made with here, beside its code."""
    return Making(versions(cell.backend), cpu_model())


def _run_one(cell: PlannedCell, ledger: Ledger, selection: Selection, console: Console) -> None:
    made_with, load_before = _making(cell), load_average()
    if not ledger.begin(cell):
        return
    outcome = _train(cell, ledger, selection, console)
    if outcome.status != INTERRUPTED:
        ledger.end(cell, outcome, Circumstances(made_with, LoadAverage(load_before, load_average())))


def _train(cell: PlannedCell, ledger: Ledger, selection: Selection, console: Console) -> Outcome:
    """Train the cell from its checkpoint, if it has one, and keep the checkpoints that it sends."""
    folder, made_with = ledger.folder, _making(cell)
    path = checkpoint_path(folder.path, cell.name)
    checkpoint = _read_checkpoint(path, cell, made_with, console)
    with CellProgress(cell.name, selection.config.train.steps, console, ledger.schedule.state) as progress:

        def hear(message: Message) -> None:
            if not isinstance(message.body, Checkpoint):
                progress.show(message)
                return
            try:
                write_checkpoint(path, message, made_with)
            except OSError as error:
                say(console, f"{cell.name}: a checkpoint could not be written: {error.strerror}")

        return run_cell(cell, selection.config, selection.resources, folder.log(cell), hear, checkpoint)


def _read_checkpoint(path: Path, cell: PlannedCell, made_with: Making, console: Console) -> Message | None:
    """Where the cell goes on; None to start it anew."""
    try:
        checkpoint = read_checkpoint(path, made_with)
    except ValueError as error:
        say(console, f"{cell.name}: {error}; it starts anew")
        return None
    if checkpoint and isinstance(checkpoint.body, Checkpoint):
        say(console, f"{cell.name}: goes on after step {len(checkpoint.body.history.losses):,}")
    return checkpoint
