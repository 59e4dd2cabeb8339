"""The backends by name, loaded on demand: importing this package imports no framework.

Another distribution adds one with an entry point of the group ENTRY_POINTS, whose value is a module that builds
trainers or, as "package:NAME", a Backend.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass, field, replace
from typing import cast

from backends.contract import IDIOMATIC_PRECISIONS, PRECISIONS, WIRINGS, Implementation, check_choice

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Support:
    """What an implementation says that it computes; for all else its `build` raises Unsupported.

    precisions: names of contract.PRECISIONS, at least one; tf32 and bfloat16 mean: on a machine that has them.
    wirings: the switches of contract.WIRINGS that it knows, alone and together; the plain stack goes without saying.
    devices: names of DEVICES. Raises ValueError for another name. The conformance suite holds the implementation to it.
    """

    precisions: tuple[str, ...]
    wirings: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu",)

    def __post_init__(self) -> None:
        allowed = {"precisions": PRECISIONS, "wirings": WIRINGS, "devices": DEVICES}
        for name, choices in allowed.items():
            for value in getattr(self, name):
                check_choice("support", name, value, choices)
        if not self.precisions:
            raise ValueError(f"support.precisions must name at least one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True)
class Backend:
    """A backend's name, the modules of its implementations, and what must be installed for it.

    thread_variables and gpu_variables are environment variables that have to be set before the framework is
    imported; a thread variable takes the number of threads. product is its contract.ProductModule. support is what
    each implementation declares; one without an entry declares nothing. A backend with a problem cannot be loaded;
    its text says why. Raises ValueError where support names an implementation that is not there.
    """

    name: str
    implementations: dict[str, str]
    packages: tuple[str, ...]
    extra: str | None = None
    thread_variables: tuple[str, ...] = ()
    gpu_variables: dict[str, str] = field(default_factory=dict)
    product: str | None = None
    support: dict[str, Support] = field(default_factory=dict)
    problem: str | None = None

    def __post_init__(self) -> None:
        for name in self.support:
            check_choice("backend", "support", name, tuple(self.implementations))

    def missing_packages(self) -> list[str]:
        return [package for package in self.packages if importlib.util.find_spec(package) is None]

    def versions(self) -> dict[str, str]:
        """The versions of its packages that are installed as distributions of the same name."""
        installed = {}
        for package in self.packages:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                installed[package] = importlib.metadata.version(package)
        return installed

    def load(self, implementation: str) -> Implementation:
        """Import the implementation's module, and with it the framework. Raises ImportError for a problem."""
        if self.problem:
            raise ImportError(self.problem)
        return cast(Implementation, importlib.import_module(self.implementations[implementation]))


OF_FRAMEWORKS = {
    "idiomatic": Support(IDIOMATIC_PRECISIONS, WIRINGS, DEVICES),
    "tuned": Support(PRECISIONS, WIRINGS, DEVICES),
}
BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            name="torch",
            implementations={"idiomatic": "backends.torch.idiomatic", "tuned": "backends.torch.tuned"},
            packages=("torch",),
            extra="torch",
            product="backends.torch.product",
            support=OF_FRAMEWORKS,
        ),
        Backend(
            name="tensorflow",
            implementations={"idiomatic": "backends.tensorflow.idiomatic", "tuned": "backends.tensorflow.tuned"},
            packages=("tensorflow", "keras"),
            extra="tensorflow",
            product="backends.tensorflow.product",
            support=OF_FRAMEWORKS,
            thread_variables=("TF_NUM_INTRAOP_THREADS",),
            gpu_variables={"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
        ),
        Backend(
            name="jax",
            implementations={"idiomatic": "backends.jax.idiomatic", "tuned": "backends.jax.tuned"},
            packages=("jax", "jaxlib", "flax", "optax"),
            extra="jax",
            product="backends.jax.product",
            support=OF_FRAMEWORKS,
            gpu_variables={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        ),
        Backend(
            name="reference",
            implementations={"idiomatic": "backends.reference"},
            packages=("numpy",),
            support={"idiomatic": Support(("float32", "float64"), WIRINGS)},
            thread_variables=("OPENBLAS_NUM_THREADS",),
        ),
    )
}

FRAMEWORKS = ("torch", "tensorflow", "jax")
ENTRY_POINTS = "lstm_copy_benchmark.backends"
# A cell's name joins its parts with hyphens.
NAME = re.compile(r"[A-Za-z_]\w*")
MODULE = re.compile(rf"{NAME.pattern}(\.{NAME.pattern})+")


def find_backend(name: str) -> Backend:
    """The backend of that name, here or registered, or one whose single implementation is the module "package.module".

    Raises KeyError where the name is neither.
    """
    if name in BACKENDS:
        return BACKENDS[name]
    for backend in registered_backends():
        if backend.name == name:
            return backend
    if not MODULE.fullmatch(name):
        raise KeyError(name)
    return Backend(name=name, implementations={"idiomatic": name}, packages=(name.partition(".")[0],))


def registered_backends() -> list[Backend]:
    """What other distributions register, in order of name. One that cannot be used is there too, with its problem."""
    entries = sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.name, entry.value))
    backends: list[Backend] = []
    for entry in entries:
        backend = _read_entry(entry)
        if any(backend.name == other.name for other in backends):
            backend = replace(backend, problem=f"{entry.value}: {entry.name} is registered twice")
        backends.append(backend)
    return backends


def _read_entry(entry: importlib.metadata.EntryPoint) -> Backend:
    package = entry.value.partition(":")[0].partition(".")[0].strip()
    broken = Backend(name=entry.name, implementations={"idiomatic": entry.value}, packages=(package,))
    if entry.name in BACKENDS:
        return replace(broken, problem=f"{entry.value}: the name {entry.name} is this suite's own")
    if not NAME.fullmatch(entry.name):
        return replace(broken, problem=f"{entry.value}: {entry.name!r} is no name; allowed are letters, digits and _")
    if ":" not in entry.value:
        return broken
    try:
        backend = entry.load()
    except Exception as error:
        return replace(broken, problem=f"{entry.value} cannot be loaded: {type(error).__name__}: {error}")
    if not isinstance(backend, Backend):
        return replace(broken, problem=f"{entry.value} is no backends.Backend but {type(backend).__name__}")
    return replace(backend, name=entry.name)
