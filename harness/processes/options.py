"""What the command line asks for, as cli.py hands it over: the values given, with defaults, not yet understood."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.task.recipe import RunConfig


@dataclass(frozen=True, kw_only=True)
class ChosenOptions:
    """What is run and on what. configuration takes the place of preset, overrides and stop_at_target where a run goes
    on."""

    backends: str = "all"
    implementation: str = "all"
    preset: str = "quick"
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "float32"
    threads: int | None = None
    ranks: int = 1
    timeout: float | None = None
    cluster: str | None = None
    stop_at_target: bool = False
    configuration: RunConfig | None = None


@dataclass(frozen=True, kw_only=True)
class RunOptions(ChosenOptions):
    """The same with how often, and where to."""

    seeds: str = "0"
    repeats: int = 1
    out: Path | None = None
    resume: Path | None = None
    quiet: bool = False
    as_json: bool = False


@dataclass(frozen=True, kw_only=True)
class SweepOptions(RunOptions):
    """sweeps are the axes with their values."""

    sweeps: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    backends: str = "all"
    implementation: str = "all"
    precision: str = "all"
    device: str = "auto"
    ranks: int = 1
    verbose: bool = False
    quiet: bool = False
    as_json: bool = False


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """None is what the run's folder says."""

    lengths: str = "10,20,40,120"
    cells: tuple[str, ...] = ()
    backends: str | None = None
    implementation: str | None = None
    sequence_seed: int | None = None
    device: str = "auto"
    threads: int | None = None
    out: Path | None = None
