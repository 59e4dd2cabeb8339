"""The software: every installed distribution, the libraries that compute, this code."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from pathlib import Path
from typing import Any

# Loaded here, so that its libraries are there to be described.
import numpy  # noqa: F401
from threadpoolctl import threadpool_info

# What a result depends on most comes first.
FIRST_PACKAGES = (
    "torch",
    "tensorflow",
    "keras",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "safetensors",
)


def versions() -> dict[str, str | None]:
    """The version of every installed distribution; None for one of the first that is not installed."""
    installed: dict[str, str | None] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            # The first on the path is the one that is imported.
            installed.setdefault(name, distribution.version)
    first = {name: installed.pop(name, None) for name in FIRST_PACKAGES}
    return {**first, **dict(sorted(installed.items(), key=lambda item: item[0].lower()))}


def describe_libraries() -> list[dict[str, Any]]:
    """The BLAS and OpenMP libraries of NumPy, in this process; a framework's own are in its cells' settings."""
    names = ("user_api", "internal_api", "prefix", "version", "num_threads", "threading_layer", "architecture")
    # Each distribution brings a copy of its own, so equal ones are told once.
    found = ({name: library[name] for name in names if library.get(name)} for library in threadpool_info())
    return [dict(pairs) for pairs in dict.fromkeys(tuple(library.items()) for library in found)]


def git_revision() -> str | None:
    """The commit this code is at, with "+" where the tree was changed since; None outside a checkout."""
    revision = _git("rev-parse", "HEAD")
    return f"{revision}+" if revision and git_clean() is False else revision


def git_clean() -> bool | None:
    """Whether the tree is as it was committed; None outside a checkout."""
    status = _git("status", "--porcelain")
    return None if status is None else not status


def _git(*arguments: str) -> str | None:
    """What git says of this code's own checkout, be it another user's: never of a repository around it, nor of the one
    whose hook we were started from."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    # With the folders named, git neither looks further up nor asks whose they are.
    command = ["git", f"--git-dir={folder / '.git'}", f"--work-tree={folder}", "-c", "core.fsmonitor=false", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=folder, env=environment
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
