"""Options of the command line become backends, implementations, a recipe and resources, or one clear error."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from backends import BACKENDS, FRAMEWORKS, Backend, find_backend, registered_backends
from backends.contract import PRECISIONS
from harness.config import RunConfig
from harness.environment import available_cpus, gpu_devices
from harness.launch import LAUNCHER, Launch, read_launch
from harness.presets import ConfigurationError, load_preset
from harness.process import Outcome, Resources, run_job
from harness.task import LARGEST_SEED

IMPLEMENTATIONS = ("idiomatic", "tuned")


@dataclass(frozen=True)
class Selection:
    """What was asked for; `everything` where the backends were not named one by one, and this process' place where a
    launcher started the ranks."""

    backends: list[Backend]
    everything: bool
    implementations: list[str]
    preset: str
    config: RunConfig
    precisions: list[str]
    resources: Resources
    launch: Launch | None = None

    @property
    def ranks(self) -> int:
        """How many processes train a cell together, wherever they are."""
        return self.launch.size if self.launch else self.resources.ranks

    def targets(self) -> list[Target]:
        """Each backend with each of the chosen implementations that it has."""
        return select_targets(self.backends, self.implementations)


Target = tuple[Backend, str]


def select(options: Mapping[str, Any]) -> Selection:
    """Raises ConfigurationError for whatever is not allowed, before anything is trained or written."""
    selection = choose(options)
    # A cluster's nodes have the devices, and we may not.
    if not options.get("cluster"):
        check_device(selection.targets(), selection.config, selection.resources)
    return selection


def choose(options: Mapping[str, Any]) -> Selection:
    """As select, but for the device: what can be checked without starting a process."""
    launch = _find_launch(options)
    selection = Selection(
        backends=select_backends(options["backends"]),
        everything=options["backends"] == "all",
        implementations=select_implementations(options["implementation"]),
        preset=options["preset"],
        config=options.get("configuration") or load_preset(options["preset"], _overrides(options)),
        precisions=select_precisions(options["precision"]),
        resources=select_resources(options, launch),
        launch=launch,
    )
    selection.targets()
    check_ranks(selection, on_cluster=bool(options.get("cluster")))
    return selection


def check_ranks(selection: Selection, *, on_cluster: bool) -> None:
    """Raises ConfigurationError where the ranks do not divide the batch, or are to share a GPU."""
    ranks, batch = selection.ranks, selection.config.train.batch
    if batch % ranks:
        divisors = ", ".join(str(n) for n in range(1, batch + 1) if batch % n == 0)
        raise ConfigurationError(f"--ranks {ranks} do not divide train.batch = {batch}; allowed are {divisors}")
    if not on_cluster and not selection.launch:
        check_gpus(selection.resources)


def check_gpus(resources: Resources) -> None:
    """Raises ConfigurationError where ranks are to share a GPU of this machine."""
    device, ranks, n_gpus = resources.device, resources.ranks, len(gpu_devices())
    if ranks == 1:
        return
    if ":" in device:
        raise ConfigurationError(f"--device {device} with --ranks {ranks}: each takes a GPU; allowed: auto, cpu, cuda")
    if device != "cpu" and 0 < n_gpus < ranks:
        raise ConfigurationError(
            f"--ranks {ranks}: each takes a GPU, there are {n_gpus}; allowed: fewer, or --device cpu"
        )


def check_device(targets: Sequence[Target], config: RunConfig, resources: Resources) -> None:
    """Raises ConfigurationError where a GPU was asked for and an installed backend sees none: never a silent run on the
    CPU."""
    if not resources.device.startswith("cuda"):
        return
    for backend, implementation in {backend.name: (backend, name) for backend, name in targets}.values():
        if backend.missing_packages():
            continue
        outcome = describe(backend, implementation, config, "float32", resources)
        if outcome.status != "ok":
            raise ConfigurationError(f"--device {resources.device}: {outcome.reason}")


def parse_seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ConfigurationError(f"--seeds {text!r}: allowed are whole numbers of at least 0, with commas between")
    seeds = list(dict.fromkeys(int(part) for part in parts))
    if max(seeds) > LARGEST_SEED:
        raise ConfigurationError(f"--seeds {text!r}: the largest seed is {LARGEST_SEED}")
    return seeds


def describe(backend: Backend, implementation: str, config: RunConfig, precision: str, resources: Resources) -> Outcome:
    """Build the model in a process of its own; its size, settings and device, or the reason why not."""
    request = {
        "job": "describe",
        "backend": backend.name,
        "implementation": implementation,
        "precision": precision,
        "configuration": config.to_dict(),
    }
    with tempfile.TemporaryDirectory() as folder:
        return run_job(backend, request, resources, Path(folder) / "describe.log")


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


def select_targets(backends: Sequence[Backend], implementations: Sequence[str]) -> list[Target]:
    """Each backend with each of the implementations that it has.

    Raises ConfigurationError for a backend that has none of them: nothing would ever be said of it.
    """
    for backend in backends:
        if not {*implementations} & {*backend.implementations}:
            allowed = ", ".join(backend.implementations)
            raise ConfigurationError(
                f"{backend.name} has no implementation {', '.join(implementations)}; allowed: {allowed}"
            )
    return [(backend, name) for backend in backends for name in implementations if name in backend.implementations]


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


def _find_launch(options: Mapping[str, Any]) -> Launch | None:
    """Where a launcher is to have started the ranks, which of them this process is."""
    if options.get("ranks") != LAUNCHER:
        return None
    if "sweeps" in options:
        raise ConfigurationError("--ranks launcher is for run: a sweep is made of several")
    # What is complete is known to the first rank alone.
    for name in ("resume", "cluster"):
        if options.get(name):
            raise ConfigurationError(f"--{name} and --ranks launcher exclude each other")
    return read_launch(os.environ)


def select_resources(options: Mapping[str, Any], launch: Launch | None = None) -> Resources:
    available = available_cpus()
    n_available = len(available) if available is not None else psutil.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or n_available
    ranks = 1 if launch else options.get("ranks") or 1
    # On a cluster each rank has a node for itself.
    sharing = launch.n_local if launch else 1 if options.get("cluster") else ranks
    threads = options["threads"] or max(1, min(n_available, physical) // sharing)
    if threads > n_available and not options.get("cluster"):
        raise ConfigurationError(f"--threads {threads}: this process may use 1 to {n_available} processors")
    limit = {"timeout_s": options["timeout"]} if options.get("timeout") else {}
    if not all(map(math.isfinite, limit.values())):
        raise ConfigurationError(f"--timeout {options['timeout']}: allowed are seconds above 0")
    resources = Resources(device=options["device"], threads=threads, ranks=ranks, **limit)
    return resources.of_rank(launch.local_rank) if launch else resources
