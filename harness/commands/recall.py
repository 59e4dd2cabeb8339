"""What a run that goes on was asked for at first, so that --resume RUN alone is enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from backends import BACKENDS
from harness.records.folder import read_description
from harness.task.presets import ConfigurationError, convert


@dataclass(frozen=True)
class Options:
    """The options that are recalled, as the command line gives them."""

    backends: str
    implementation: str
    precision: str
    device: str
    seeds: str
    threads: Annotated[int, msgspec.Meta(ge=1)]
    repeats: Annotated[int, msgspec.Meta(ge=1)]
    timeout: Annotated[float, msgspec.Meta(gt=0)] | None = None
    ranks: Annotated[int, msgspec.Meta(ge=1)] = 1


def remember(options: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """For run.json: the options, with the threads that were found where none were given."""
    asked = {name: options[name] for name in Options.__dataclass_fields__ if name in options}
    return {**asked, "threads": threads}


def recall(options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The options with those that were not given as the run in `resume` had them, its configuration among them.

    Raises ConfigurationError where there is no such run, and for a backend that is a module: which code is run is not
    for a folder to say, so it has to be named again.
    """
    path = Path(options["resume"])
    description = read_description(path)
    try:
        stored = msgspec.convert(description["options"], Options)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path}: the options in its run.json are malformed: {error}") from None
    if "backends" not in given and not all(name in (*BACKENDS, "all") for name in stored.backends.split(",")):
        raise ConfigurationError(f"{path} was run with --backend {stored.backends}; name it again")
    recalled = {**options, **{name: value for name, value in asdict(stored).items() if name not in given}}
    if not {"preset", "overrides", "stop_at_target"} & {*given}:
        recalled["configuration"] = convert(description["configuration"])
        recalled["preset"] = str(description.get("preset"))
    return recalled
