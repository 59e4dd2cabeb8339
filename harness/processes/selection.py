"""Options of the command line become backends, implementations, a recipe and resources, or one clear error."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends import BACKENDS, FRAMEWORKS, Backend, find_backend, registered_backends
from backends.contract import PRECISIONS
from harness.machine import find_processors, gpu_devices
from harness.processes.process import Outcome, Resources, run_job
from harness.task.presets import ConfigurationError, load_preset
from harness.task.recipe import RunConfig

IMPLEMENTATIONS = ("idiomatic", "tuned")


@dataclass(frozen=True)
class Selection:
    """What was asked for; `everything` where the backends were not named one by one."""

    backends: list[Backend]
    everything: bool
    implementations: list[str]
    preset: str
    config: RunConfig
    precisions: list[str]
    resources: Resources


def select(options: Mapping[str, Any]) -> Selection:
    """Raises ConfigurationError for whatever is not allowed, before anything is started or written."""
    selection = Selection(
        backends=select_backends(options["backends"]),
        everything=options["backends"] == "all",
        implementations=select_implementations(options["implementation"]),
        preset=options["preset"],
        config=options.get("configuration") or load_preset(options["preset"], _overrides(options)),
        precisions=select_precisions(options["precision"]),
        resources=select_resources(options),
    )
    if selection.resources.ranks > 1:
        check_ranks(selection, on_cluster=bool(options.get("cluster")))
    # A cluster's nodes have the devices, and we may not.
    if selection.resources.device.startswith("cuda") and not options.get("cluster"):
        _check_device(selection)
    return selection


def check_ranks(selection: Selection, *, on_cluster: bool) -> None:
    """Raises ConfigurationError where the ranks do not divide the batch, or are to share a GPU."""
    ranks, batch = selection.resources.ranks, selection.config.train.batch
    if batch % ranks:
        divisors = ", ".join(str(n) for n in range(1, batch + 1) if batch % n == 0)
        raise ConfigurationError(f"--ranks {ranks} do not divide train.batch = {batch}; allowed are {divisors}")
    if on_cluster:
        return
    device, n_gpus = selection.resources.device, len(gpu_devices())
    if ":" in device:
        raise ConfigurationError(f"--device {device} with --ranks {ranks}: each takes a GPU; allowed: auto, cpu, cuda")
    if device != "cpu" and 0 < n_gpus < ranks:
        raise ConfigurationError(
            f"--ranks {ranks}: each takes a GPU, there are {n_gpus}; allowed: fewer, or --device cpu"
        )


def parse_seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ConfigurationError(f"--seeds {text!r}: allowed are whole numbers of at least 0, with commas between")
    return list(dict.fromkeys(int(part) for part in parts))


def describe(backend: Backend, implementation: str, selection: Selection) -> Outcome:
    """Build the model in a process of its own; its size, settings and device, or the reason why not."""
    request = {
        "job": "describe",
        "backend": backend.name,
        "implementation": implementation,
        "precision": selection.precisions[0],
        "configuration": selection.config.to_dict(),
    }
    with tempfile.TemporaryDirectory() as folder:
        return run_job(backend, request, selection.resources, Path(folder) / "describe.log")


def select_backends(text: str) -> list[Backend]:
    names = FRAMEWORKS if text == "all" else dict.fromkeys(name.strip() for name in text.split(","))
    try:
        return [find_backend(name) for name in names]
    except KeyError as error:
        known = dict.fromkeys([*BACKENDS, *(backend.name for backend in registered_backends())])
        allowed = f"all, {', '.join(known)}, or a module as package.module"
        raise ConfigurationError(f"unknown backend {error}; allowed: {allowed}") from None


def select_implementations(text: str) -> list[str]:
    names = IMPLEMENTATIONS if text == "all" else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in IMPLEMENTATIONS:
            raise ConfigurationError(f"unknown implementation {name!r}; allowed: all, {', '.join(IMPLEMENTATIONS)}")
    return list(dict.fromkeys(names))


def select_precisions(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PRECISIONS:
            raise ConfigurationError(f"unknown precision {name!r}; allowed: {', '.join(PRECISIONS)}")
    return list(dict.fromkeys(names))


def _overrides(options: Mapping[str, Any]) -> list[str]:
    """Those given, and --stop-at-target as the key of the recipe that it is."""
    stopping = ["train.stop_at_target=true"] if options.get("stop_at_target") else []
    return [*options["overrides"], *stopping]


def select_resources(options: Mapping[str, Any]) -> Resources:
    processors = find_processors()
    ranks = options.get("ranks") or 1
    # On a cluster each rank has a node for itself.
    sharing = 1 if options.get("cluster") else ranks
    threads = options["threads"] or max(1, processors.default // sharing)
    if threads > processors.most and not options.get("cluster"):
        raise ConfigurationError(f"--threads {threads}: this process may use {processors.allowed}")
    limit = {"timeout_s": options["timeout"]} if options.get("timeout") else {}
    return Resources(device=options["device"], threads=threads, ranks=ranks, **limit)


def _check_device(selection: Selection) -> None:
    """A GPU that was asked for has to be there for every installed backend: never a silent run on the CPU."""
    for backend in selection.backends:
        if backend.missing_packages():
            continue
        outcome = describe(backend, selection.implementations[0], selection)
        if outcome.status != "ok":
            raise ConfigurationError(f"--device {selection.resources.device}: {outcome.reason}")
