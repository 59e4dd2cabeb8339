"""What a run that goes on was asked for at first, so that --resume RUN alone is enough."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from backends import BACKENDS
from harness.processes.options import RunOptions
from harness.records.folder import read_description
from harness.records.structs import Options
from harness.task.presets import ConfigurationError


def remember(options: RunOptions, threads: int) -> Options:
    """For run.json: the options, with the threads that were found where none were given."""
    asked = {name: getattr(options, name) for name in Options.__struct_fields__}
    return Options(**{**asked, "threads": threads})


def recall(options: RunOptions, given: Collection[str]) -> RunOptions:
    """The options with those that were not given as the run in `resume` had them, its configuration among them.

    Raises ConfigurationError where there is no such run, and for a backend that is a module: which code is run is not
    for a folder to say, so it has to be named again.
    """
    path = Path(options.resume or "")
    description = read_description(path)
    stored = description.options
    if stored is None:
        raise ConfigurationError(f"{path} holds no run that could be resumed: its run.json has no options")
    if "backends" not in given and not all(name in (*BACKENDS, "all") for name in stored.backends.split(",")):
        raise ConfigurationError(f"{path} was run with --backend {stored.backends}; name it again")
    recalled = {name: value for name, value in structs.asdict(stored).items() if name not in given}
    if not {"preset", "overrides", "stop_at_target"} & {*given}:
        recalled |= {"configuration": description.configuration, "preset": description.preset}
    return replace(options, **recalled)
