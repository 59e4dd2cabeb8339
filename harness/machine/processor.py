"""The processors: what they are, which of them this process may use, and how their frequency is governed."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import psutil

from harness.machine.files import ROOT, read, read_integer

# Those that decide which kernels a library of linear algebra picks.
INSTRUCTION_SETS = (
    "sse4_2",
    "fma",
    "avx",
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "asimd",
    "sve",
    "sve2",
    "bf16",
    "i8mm",
)


def available_cpus() -> list[int] | None:
    """The processors this process may use; None where the system has no affinity."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def load_average() -> list[float] | None:
    """Processes that wanted to run, on average over the last 1, 5 and 15 minutes."""
    try:
        return list(os.getloadavg())
    except (AttributeError, OSError):
        return None


def cpu_model(root: Path = ROOT) -> str:
    return _cpuinfo(root, "model name") or platform.processor() or platform.machine()


def describe_processor(root: Path = ROOT) -> dict[str, Any]:
    """Caches, instruction sets, frequency and what governs it, NUMA nodes and huge pages."""
    cpu = root / "sys/devices/system/cpu"
    flags = (_cpuinfo(root, "flags") or _cpuinfo(root, "Features") or "").split()
    return {
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in flags],
        "caches": _caches(cpu / "cpu0/cache"),
        "governor": _governor(cpu),
        "boost": _boost(cpu),
        "frequency_mhz": _frequency_mhz(),
        "threads_per_core_active": _yes(read_integer(cpu / "smt/active")),
        "numa_nodes": len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
        "transparent_huge_pages": _chosen(read(root / "sys/kernel/mm/transparent_hugepage/enabled")),
    }


def _cpuinfo(root: Path, name: str) -> str | None:
    """The value of the first line of that name."""
    for line in (read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _caches(folder: Path) -> dict[str, str]:
    """Sizes by level and kind: L1 Data, L1 Instruction, L2, L3."""
    caches = {}
    for index in sorted(folder.glob("index[0-9]*")):
        level, kind, size = (read(index / name) for name in ("level", "type", "size"))
        if level and size:
            caches[f"L{level}" if kind in (None, "Unified") else f"L{level} {kind}"] = size
    return caches


def _governor(cpu: Path) -> str | None:
    """The frequency governor; several with commas between them where processors differ."""
    governors = {read(path) for path in cpu.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return ", ".join(sorted(filter(None, governors))) or None


def _boost(cpu: Path) -> bool | None:
    """Whether processors may exceed their nominal frequency."""
    no_turbo = read_integer(cpu / "intel_pstate/no_turbo")
    return no_turbo == 0 if no_turbo is not None else _yes(read_integer(cpu / "cpufreq/boost"))


def _frequency_mhz() -> dict[str, float] | None:
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError, AttributeError):
        return None
    return {"least": frequency.min, "most": frequency.max} if frequency and frequency.max else None


def _yes(value: int | None) -> bool | None:
    return None if value is None else value == 1


def _chosen(text: str | None) -> str | None:
    """Of "always [madvise] never", the one in brackets."""
    return text.partition("[")[2].partition("]")[0] or None if text else None
