"""What a cell was made with: the sources its process had loaded, by digest, and versions. Two cells are of the same
making where both are equal."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backends import Backend

PROJECT = Path(__file__).parents[2]
# What starts the worker, and what it starts with: loaded elsewhere, or under another name.
LOADED_ELSEWHERE = (
    "harness.processes.process",
    "harness.processes.ranks",
    "harness.processes.runner",
    "harness.cells.worker",
)
MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def loaded_sources(backend: Backend) -> dict[str, str]:
    """SHA-256 of the source of every module of the suite, and of the backend's package, that is loaded here."""
    packages = _packages(backend)
    names = {name for name in list(sys.modules) if name.partition(".")[0] in packages} | {*LOADED_ELSEWHERE}
    digests = {name: _digest_source(name, packages) for name in sorted(names)}
    return {name: digest for name, digest in digests.items() if digest is not None}


def changed_sources(backend: Backend, sources: Mapping[str, Any]) -> list[str]:
    """The modules among `sources` whose source is another now, or gone. No name can make this read elsewhere."""
    packages = _packages(backend)
    return [name for name, digest in sources.items() if _digest_source(name, packages) != digest]


def suite_digest() -> str:
    """SHA-256 of every source of the suite and its name: two machines have the same code where it is equal."""
    return _digest_packages({"backends": PROJECT, "harness": PROJECT})


def code_digest(backend: Backend) -> str:
    """The same with every source of the backend's own package."""
    return _digest_packages(_packages(backend))


def versions(backend: Backend) -> dict[str, str]:
    """Of Python, NumPy and the packages the backend needs."""
    return {"python": platform.python_version(), "numpy": np.__version__, **backend.versions()}


def _packages(backend: Backend) -> dict[str, Path]:
    """The folders that hold the suite's packages and that of the backend, or its module, by name."""
    folders = {"harness": PROJECT, "backends": PROJECT}
    for module in backend.implementations.values():
        package = module.partition(".")[0]
        # Of a package without a dot in its name this imports nothing.
        spec = importlib.util.find_spec(package)
        # A package is a folder of that name, and any other module a file.
        file = [str(spec.origin)] if spec and spec.has_location else []
        for place in (spec.submodule_search_locations or file) if spec else []:
            folders.setdefault(package, Path(place).parent)
    return folders


def _digest_packages(packages: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for package, folder in sorted(packages.items()):
        # A package has modules below its folder; another module is one file.
        files = [folder / f"{package}.py", *(folder / package).rglob("*.py")]
        for path in sorted(filter(Path.is_file, files)):
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _digest_source(name: str, packages: Mapping[str, Path]) -> str | None:
    if not MODULE_NAME.fullmatch(name) or name.partition(".")[0] not in packages:
        return None
    path = packages[name.partition(".")[0]].joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return hashlib.sha256(file.read_bytes()).hexdigest()
    return None
