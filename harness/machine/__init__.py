"""What machine and software this is: processors, limits, load, GPUs, versions, sources. Nothing tells whose they are.

Knows NumPy, psutil and the backends' names, nothing else of the harness. In: this machine. Out: plain values.
"""

from __future__ import annotations

import platform
from typing import Any

import psutil

from harness.machine.gpu import describe_gpus, gpu_devices, visible_gpus
from harness.machine.limits import describe_limits
from harness.machine.processor import available_cpus, cpu_model, describe_processor, load_average
from harness.machine.software import describe_libraries, git_clean, git_revision, versions
from harness.machine.topology import Processors, find_processors, write_list
from harness.machine.variables import describe_variables

__all__ = [
    "PASSING",
    "Processors",
    "cpu_model",
    "describe_environment",
    "find_processors",
    "gpu_devices",
    "load_average",
    "visible_gpus",
    "write_list",
]

# What is true of the moment alone, and so differs between any two runs of one machine.
PASSING = ("memory_available_bytes", "load_average")


def describe_environment() -> dict[str, Any]:
    """What is true of this machine now, as JSON. No user's, host's or home folder's name is in it."""
    memory, processors = psutil.virtual_memory(), find_processors()
    return {
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "affinity": available_cpus(),
        "cell_processors": processors.share(0, processors.default),
        "cell_processors_reason": processors.reason,
        "processor": describe_processor(),
        "memory_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "limits": describe_limits(),
        "gpu": describe_gpus(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "python_implementation": platform.python_implementation(),
        "packages": versions(),
        "libraries": describe_libraries(),
        "variables": describe_variables(),
        "git_revision": git_revision(),
        "git_clean": git_clean(),
        "load_average": load_average(),
    }
