"""Options of the command line become backends, implementations, a recipe and resources, or one clear error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backends import BACKENDS, FRAMEWORKS, Backend, find_backend, registered_backends
from backends.contract import PRECISIONS
from harness.cells.requests import Describe
from harness.machine import find_processors, gpu_devices, visible_gpus
from harness.processes.options import ChosenOptions
from harness.processes.process import Outcome, Resources, run_job
from harness.records.durable import temporary_folder
from harness.task.copy_task import LARGEST_SEED
from harness.task.presets import ConfigurationError, load_preset, suggest
from harness.task.recipe import RunConfig

IMPLEMENTATIONS = ("idiomatic", "tuned")


Target = tuple[Backend, str]


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

    def targets(self) -> list[Target]:
        """Each backend with each of the chosen implementations that it has."""
        return select_targets(self.backends, self.implementations)


def select(options: ChosenOptions) -> Selection:
    """Raises ConfigurationError for whatever is not allowed, before anything is trained or written."""
    selection = choose(options)
    # A cluster's nodes have the devices, and we may not.
    if not options.cluster:
        check_device(selection.targets(), selection.config, selection.resources)
    return selection


def choose(options: ChosenOptions) -> Selection:
    """As select, but for the device: what can be checked without starting a process."""
    selection = Selection(
        backends=select_backends(options.backends),
        everything=options.backends == "all",
        implementations=select_implementations(options.implementation),
        preset=options.preset,
        config=options.configuration or load_preset(options.preset, _overrides(options)),
        precisions=select_precisions(options.precision),
        resources=select_resources(options),
    )
    selection.targets()
    check_ranks(selection, on_cluster=bool(options.cluster))
    return selection


def check_ranks(selection: Selection, *, on_cluster: bool) -> None:
    """Raises ConfigurationError where the ranks do not divide the batch, or are to share a GPU."""
    ranks, batch = selection.resources.ranks, selection.config.train.batch
    if batch % ranks:
        divisors = ", ".join(str(n) for n in range(1, batch + 1) if batch % n == 0)
        raise ConfigurationError(f"--ranks {ranks} do not divide train.batch = {batch}; allowed are {divisors}")
    if not on_cluster:
        check_gpus(selection.resources)


def check_gpus(resources: Resources) -> None:
    """Raises ConfigurationError where ranks are to share a GPU of this machine."""
    device, ranks = resources.device, resources.ranks
    if ranks == 1:
        return
    n_gpus = len(gpu_devices())
    n_visible = min(n_gpus, len(visible_gpus(n_gpus)))
    if ":" in device:
        raise ConfigurationError(f"--device {device} with --ranks {ranks}: each takes a GPU; allowed: auto, cpu, cuda")
    if device != "cpu" and 0 < n_visible < ranks:
        hidden = f", of which CUDA_VISIBLE_DEVICES shows {n_visible}" if n_visible < n_gpus else ""
        raise ConfigurationError(
            f"--ranks {ranks}: each takes a GPU, there are {n_gpus}{hidden}; allowed: fewer, or --device cpu"
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
    check_seed(max(seeds), f"--seeds {text!r}")
    return seeds


def check_seed(seed: int, asked: str) -> None:
    """Raises ConfigurationError, which says what was asked for."""
    if seed > LARGEST_SEED:
        raise ConfigurationError(f"{asked}: the largest seed is {LARGEST_SEED}")


def describe(backend: Backend, implementation: str, config: RunConfig, precision: str, resources: Resources) -> Outcome:
    """Build the model in a process of its own; its size, settings and device, or the reason why not."""
    job = Describe(backend=backend.name, implementation=implementation, precision=precision, configuration=config)
    with temporary_folder() as folder:
        return run_job(job, resources, folder / "describe.log")


def select_backends(text: str) -> list[Backend]:
    names = FRAMEWORKS if text == "all" else dict.fromkeys(name.strip() for name in text.split(","))
    try:
        return [find_backend(name) for name in names]
    except KeyError as error:
        known = dict.fromkeys([*BACKENDS, *(backend.name for backend in registered_backends())])
        allowed = f"all, {', '.join(known)}, or a module as package.module"
        hint = suggest(error.args[0], ["all", *known])
        raise ConfigurationError(f"unknown backend {error}; {hint}allowed: {allowed}") from None


def select_implementations(text: str) -> list[str]:
    names = IMPLEMENTATIONS if text == "all" else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in IMPLEMENTATIONS:
            allowed = ("all", *IMPLEMENTATIONS)
            hint = suggest(name, allowed)
            raise ConfigurationError(f"unknown implementation {name!r}; {hint}allowed: {', '.join(allowed)}")
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
            hint = suggest(name, PRECISIONS)
            raise ConfigurationError(f"unknown precision {name!r}; {hint}allowed: {', '.join(PRECISIONS)}")
    return list(dict.fromkeys(names))


def _overrides(options: ChosenOptions) -> list[str]:
    """Those given, and --stop-at-target as the key of the recipe that it is."""
    stopping = ["train.stop_at_target=true"] if options.stop_at_target else []
    return [*options.overrides, *stopping]


def select_resources(options: ChosenOptions) -> Resources:
    processors = find_processors()
    # On a cluster each rank has a node for itself.
    sharing = 1 if options.cluster else options.ranks
    threads = options.threads or max(1, processors.default // sharing)
    if threads > processors.most and not options.cluster:
        raise ConfigurationError(f"--threads {threads}: this process may use {processors.allowed}")
    limit: dict[str, Any] = {} if options.timeout is None else {"timeout_s": options.timeout}
    if not all(map(math.isfinite, limit.values())):
        raise ConfigurationError(f"--timeout {options.timeout}: allowed are seconds above 0")
    return Resources(device=options.device, threads=threads, ranks=options.ranks, **limit)
