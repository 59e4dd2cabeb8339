"""The software: every installed distribution, the libraries that compute, variables that change them, this code."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Loaded here, so that its libraries are there to be described.
import numpy  # noqa: F401
from threadpoolctl import threadpool_info

from harness.machine.privacy import shorten

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
RELEVANT_VARIABLES = re.compile(
    r"(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|VECLIB|NUMEXPR|DNNL|ONEDNN|XLA|JAX|JAXLIB|KERAS|TORCH|TORCHINDUCTOR|PYTORCH|ATEN"
    r"|CUDA|CUDNN|CUBLAS|NCCL|NVIDIA|TRITON|MALLOC)_\w+"
    # Terraform has the same prefix as TensorFlow, and values that are nobody's business; TF_CONFIG has addresses.
    r"|TF_(?!CONFIG$|VAR_|CLI_|TOKEN_|LOG|DATA_DIR|WORKSPACE|INPUT|IN_AUTOMATION|PLUGIN|REGISTRY|STATE)\w+"
    r"|GLIBC_TUNABLES|LD_PRELOAD|PYTHONHASHSEED|PYTHONOPTIMIZE|PYTHONMALLOC"
)
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH|API_?KEY|ACCESS_?KEY|PRIVATE|ADDRESS")


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


def describe_variables(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment variables that change how libraries compute; never one whose name tells of a secret
    or of an address."""
    relevant = (name for name in sorted(variables) if RELEVANT_VARIABLES.fullmatch(name) and not SECRET.search(name))
    return {name: shorten(variables[name]) for name in relevant}


def git_revision() -> str | None:
    """The commit this code is at, with "+" where the tree was changed since; None outside a checkout."""
    revision = _git("rev-parse", "HEAD")
    return f"{revision}+" if revision and git_clean() is False else revision


def git_clean() -> bool | None:
    """Whether the tree is as it was committed; None outside a checkout."""
    status = _git("status", "--porcelain")
    return None if status is None else not status


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
