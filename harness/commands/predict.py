"""Draw what trained networks predict, from their saved parameters, in their own framework or in another."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text
from safetensors import SafetensorError
from safetensors.numpy import load

from backends import BACKENDS, Backend
from backends.contract import Array, Parameters
from harness.analysis.copies import CopiedSequence, Output
from harness.cells.requests import Predict
from harness.commands.output import make_console, warn_of_writers
from harness.processes.options import ChosenOptions, PredictOptions
from harness.processes.process import Outcome, Resources, missing_reason, run_job
from harness.processes.saying import say
from harness.processes.selection import (
    check_device,
    check_seed,
    select_backends,
    select_implementations,
    select_resources,
    select_targets,
)
from harness.records.durable import temporary_folder, write_bytes, write_text
from harness.records.parameter_faults import parameter_faults
from harness.records.reading import read_run
from harness.records.structs import Cell, Run
from harness.report.figures.copies import plot_copies
from harness.report.figures.style import encode_png, own_settings
from harness.report.markdown import one_line
from harness.task.copy_task import CopyBatch
from harness.task.metrics import find_wrong_bits
from harness.task.presets import ConfigurationError
from harness.task.recipe import RunConfig

WIDTH = 80
# Every framework is to give another's probabilities to this, but where it rounds its products to fewer bits.
TOLERANCE, EXACT = 1e-5, ("float32", "float64")
# The memory of a few thousand time steps is still small; beyond, a slip of the keyboard would take all of it.
LONGEST = 2000


@dataclass(frozen=True)
class Prediction:
    """The probabilities (time, bits) by length that an implementation computes from a cell's parameters, or why there
    are none; largest_difference is that from the cell's own framework, over everything predicted."""

    cell: Cell
    backend: str
    implementation: str
    probabilities: dict[int, Array]
    reason: str | None = None
    largest_difference: float | None = None

    @property
    def label(self) -> str:
        """The parameters' origin and, where another framework computes with them, which."""
        own = f"{self.cell.backend} {self.cell.implementation}"
        by = f"{self.backend} {self.implementation}"
        return own if own == by else f"{own}, computed by {by}"


def predict(folder: Path, options: PredictOptions) -> int:
    """Draw and count; 0 where every prediction could be made and frameworks agree to 1e-5, else 1.

    Raises ConfigurationError for a folder or a request that is not right, before any process is started.
    """
    lengths, resources = (
        parse_lengths(options.lengths),
        select_resources(ChosenOptions(device=options.device, threads=options.threads)),
    )
    run = read_run(folder)
    config = run.file.configuration
    cells = select_cells(run, folder, options.cells)
    saved = {cell.cell: read_parameters(folder, cell, config) for cell in cells}
    plan = [(cell, *computing) for cell in cells for computing in select_computing(cell, options)]
    seed = config.evaluate.seed if options.sequence_seed is None else options.sequence_seed
    check_seed(seed, f"--sequence-seed {seed}")
    check_device([(backend, implementation) for _, backend, implementation in plan], config, resources)
    out = make_folder(options.out or folder / "predictions")
    warn_of_writers(folder)
    predictions: list[Prediction] = []
    for cell, backend, implementation in plan:
        job = Predict(
            backend=backend.name,
            implementation=implementation,
            precision=cell.precision,
            configuration=config,
            lengths=lengths,
            sequence_seed=seed,
        )
        outcome = _compute(job, backend, saved[cell.cell], resources)
        predictions.append(_read_outcome(cell, job, outcome, predictions))
    batches = {length: config.task.evaluation_batch(seed=seed, length=length, size=1) for length in lengths}
    console = make_console()
    console.print(_table(predictions, batches, config), width=min(WIDTH, console.width))
    for each in predictions:
        if each.reason:
            say(console, f"{each.backend} {each.implementation}: {one_line(each.reason)}")
    _write(out, predictions, batches, config, console)
    agree = all((each.largest_difference or 0) <= TOLERANCE for each in predictions if each.cell.precision in EXACT)
    return 0 if agree and not any(each.reason for each in predictions) else 1


def make_folder(folder: Path) -> Path:
    """The folder, which is there. Raises ConfigurationError where it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error.strerror}; name another with --out") from None
    return folder


def parse_lengths(text: str) -> list[int]:
    """Raises ConfigurationError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= LONGEST for part in parts):
        raise ConfigurationError(
            f"--lengths {text!r}: allowed are whole numbers from 1 to {LONGEST:,}, with commas between"
        )
    return sorted({int(part) for part in parts})


def select_cells(run: Run, folder: Path, names: tuple[str, ...]) -> list[Cell]:
    """Those that are named or, of each backend, the first seed's first repeat, tuned where there is a choice."""
    trained = {cell.cell: cell for cell in run.ok_cells}
    if not trained:
        raise ConfigurationError(f"{folder} has no cell that ended ok")
    for name in names:
        if name not in trained:
            raise ConfigurationError(f"{folder} has no cell {name!r} that ended ok; it has: {', '.join(trained)}")
    if names:
        return [trained[name] for name in dict.fromkeys(names)]
    first: dict[str, Cell] = {}
    for cell in sorted(trained.values(), key=lambda cell: (cell.implementation != "tuned", cell.seed, cell.repeat)):
        first.setdefault(cell.backend, cell)
    return [first[backend] for backend in dict.fromkeys(cell.backend for cell in run.ok_cells)]


def select_computing(cell: Cell, options: PredictOptions) -> list[tuple[Backend, str]]:
    """The cell's own implementation and, where backends are named, theirs of the same kind or of the one asked for.

    Raises ConfigurationError, also for a cell of a backend that is a module and was not named: which code is run is
    not for a folder to say.
    """
    named = select_backends(options.backends) if options.backends else []
    known = {**BACKENDS, **{backend.name: backend for backend in named}}
    if cell.backend not in known:
        raise ConfigurationError(f"{cell.cell} was trained by {cell.backend}; name it with --backend to run its code")
    asked = select_implementations(options.implementation) if options.implementation else [cell.implementation]
    computing = [(known[cell.backend], cell.implementation)]
    for backend in named or ([known[cell.backend]] if options.implementation else []):
        has_one = {*asked} & {*backend.implementations} or options.implementation
        computing += select_targets([backend], asked if has_one else [next(iter(backend.implementations))])
    if cell.implementation not in known[cell.backend].implementations:
        raise ConfigurationError(f"{cell.cell}: {cell.backend} has no implementation {cell.implementation!r}")
    return list({(backend.name, kind): (backend, kind) for backend, kind in computing}.values())


def read_parameters(folder: Path, cell: Cell, config: RunConfig) -> Parameters:
    """Raises ConfigurationError naming what is missing, or has a wrong name, shape, type or value."""
    path = folder / "cells" / f"{cell.cell}.safetensors"
    try:
        parameters: Parameters = load(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no parameters: {' '.join(str(error).split())}") from None
    fault = next(parameter_faults(parameters, config.model_spec().shapes()), None)
    if fault:
        raise ConfigurationError(f"{path}: {fault}")
    return parameters


def _compute(job: Predict, backend: Backend, parameters: Parameters, resources: Resources) -> Outcome:
    if missing := backend.missing_packages():
        return Outcome("not_installed", missing_reason(backend, missing))
    with temporary_folder() as folder:
        return run_job(job, resources, folder / "predict.log", arrays=parameters)


def _read_outcome(cell: Cell, job: Predict, outcome: Outcome, earlier: list[Prediction]) -> Prediction:
    if outcome.status != "ok":
        return Prediction(cell, job.backend, job.implementation, {}, outcome.reason or outcome.status)
    probabilities = {int(length): array for length, array in outcome.arrays.items()}
    own = next((each for each in earlier if each.cell is cell and not each.reason), None)
    difference = None
    if own:
        gaps = [np.abs(array - own.probabilities[length]).max() for length, array in probabilities.items()]
        difference = float(max(gaps))
    return Prediction(cell, job.backend, job.implementation, probabilities, None, difference)


def _count_wrong(prediction: Prediction, batch: CopyBatch, config: RunConfig) -> int:
    return _output(prediction, batch, config).n_wrong


def _output(prediction: Prediction, batch: CopyBatch, config: RunConfig) -> Output:
    probabilities = prediction.probabilities[int(batch.lengths[0])]
    wrong = find_wrong_bits(probabilities, config.task.bits_of(batch.targets)[0], batch.mask[0])
    return Output(prediction.label, probabilities, wrong)


def _table(predictions: list[Prediction], batches: dict[int, CopyBatch], config: RunConfig) -> Table:
    table = Table(box=None, title="Wrong bits, of all that are due", title_justify="left")
    table.add_column("parameters of", overflow="fold")
    table.add_column("computed by", overflow="fold")
    for length in batches:
        table.add_column(f"length {length}", justify="right", overflow="fold")
    compares = any(each.largest_difference is not None for each in predictions)
    if compares:
        table.add_column("largest difference", justify="right", overflow="fold")
    for each in predictions:
        by = f"{each.backend} {each.implementation}"
        row = [f"{each.cell.backend} {each.cell.implementation} seed {each.cell.seed}", by]
        if each.reason:
            continue
        row += [
            f"{_count_wrong(each, batch, config):,} of {length * config.task.bits:,}"
            for length, batch in batches.items()
        ]
        difference = "" if each.largest_difference is None else f"{each.largest_difference:.1e}"
        table.add_row(*map(Text, [*row, difference] if compares else row))
    return table


def _write(
    folder: Path,
    predictions: list[Prediction],
    batches: dict[int, CopyBatch],
    config: RunConfig,
    console: Console,
) -> None:
    """A picture for each length and the counts as CSV. Raises ConfigurationError where they cannot be written."""
    made = [each for each in predictions if not each.reason]
    try:
        for length, batch in batches.items() if made else ():
            sequence = CopiedSequence(
                length=length,
                is_trained=config.task.min_length <= length <= config.task.max_length,
                inputs=batch.inputs[0],
                target=config.task.bits_of(batch.targets)[0],
                outputs=[_output(each, batch, config) for each in made],
            )
            path = folder / f"copy_length_{length}.png"
            write_bytes(path, _draw(sequence))
            say(console, str(path))
        write_text(folder / "wrong_bits.csv", _csv(made, batches, config))
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error.strerror}") from None


@own_settings()
def _draw(sequence: CopiedSequence) -> bytes:
    """As PNG."""
    return encode_png(plot_copies([sequence]))


def _csv(predictions: list[Prediction], batches: dict[int, CopyBatch], config: RunConfig) -> str:
    rows = [
        {
            "cell": each.cell.cell,
            "backend": each.backend,
            "implementation": each.implementation,
            "length": length,
            "wrong_bits": _count_wrong(each, batch, config),
            "bits": length * config.task.bits,
            "largest_difference": each.largest_difference,
        }
        for each in predictions
        for length, batch in batches.items()
    ]
    return str(pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
