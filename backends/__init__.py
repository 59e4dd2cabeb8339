"""The backends by name, loaded on demand: importing this package imports no framework."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass, field
from typing import cast

from backends.contract import Implementation


@dataclass(frozen=True)
class Backend:
    """A backend's name, the modules of its implementations, and what must be installed for it.

    thread_variables and gpu_variables are environment variables that have to be set before the framework is
    imported; a thread variable takes the number of threads. product is the module of its own matrix product.
    """

    name: str
    implementations: dict[str, str]
    packages: tuple[str, ...]
    extra: str | None = None
    thread_variables: tuple[str, ...] = ()
    gpu_variables: dict[str, str] = field(default_factory=dict)
    product: str | None = None

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
        """Import the implementation's module, and with it the framework."""
        return cast(Implementation, importlib.import_module(self.implementations[implementation]))


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            name="torch",
            implementations={"idiomatic": "backends.torch.idiomatic", "tuned": "backends.torch.tuned"},
            packages=("torch",),
            extra="torch",
            product="backends.torch.product",
        ),
        Backend(
            name="tensorflow",
            implementations={"idiomatic": "backends.tensorflow.idiomatic", "tuned": "backends.tensorflow.tuned"},
            packages=("tensorflow", "keras"),
            extra="tensorflow",
            product="backends.tensorflow.product",
            thread_variables=("TF_NUM_INTRAOP_THREADS",),
            gpu_variables={"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
        ),
        Backend(
            name="jax",
            implementations={"idiomatic": "backends.jax.idiomatic", "tuned": "backends.jax.tuned"},
            packages=("jax", "flax", "optax"),
            extra="jax",
            product="backends.jax.product",
            gpu_variables={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        ),
        Backend(
            name="reference",
            implementations={"idiomatic": "backends.reference"},
            packages=("numpy",),
            thread_variables=("OPENBLAS_NUM_THREADS",),
        ),
    )
}

FRAMEWORKS = ("torch", "tensorflow", "jax")


def find_backend(name: str) -> Backend:
    """The backend of that name, or one whose single implementation is the module "package.module".

    Raises KeyError where the name is neither.
    """
    if name in BACKENDS:
        return BACKENDS[name]
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        raise KeyError(name)
    return Backend(name=name, implementations={"idiomatic": name}, packages=(name.partition(".")[0],))
