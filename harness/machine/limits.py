"""What a control group allows this process: a container may have fewer processors than it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.machine.files import ROOT, read, read_integer

# Version 1 says "no limit" with the largest multiple of a page.
UNLIMITED_BYTES = 2**60


def describe_limits(root: Path = ROOT) -> dict[str, Any]:
    """Processors' worth of time and bytes of memory; None without a limit. The narrowest of the group and those it is
    in counts (Linux' cgroup v2, else v1)."""
    folders = _groups(root)
    cpus = [limit for folder in folders if (limit := _cpu_limit(folder)) is not None]
    sizes = [limit for folder in folders if (limit := _memory_limit(folder)) is not None]
    return {"cpus": min(cpus, default=None), "memory_bytes": min(sizes, default=None)}


def _groups(root: Path) -> list[Path]:
    """The folders of this process's groups and of those above them."""
    base = root / "sys/fs/cgroup"
    folders = [base, base / "cpu", base / "memory"]
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        top = base / controllers if controllers else base
        parts = [part for part in path.split("/") if part and part != ".."]
        folders += [top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    return list(dict.fromkeys(folders))


def _cpu_limit(folder: Path) -> float | None:
    quota, _, period = (read(folder / "cpu.max") or "").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        return int(quota) / int(period)
    quota_us, period_us = read_integer(folder / "cpu.cfs_quota_us"), read_integer(folder / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and quota_us > 0 and period_us else None


def _memory_limit(folder: Path) -> int | None:
    limits = (read_integer(folder / name) for name in ("memory.max", "memory.limit_in_bytes"))
    return min((limit for limit in limits if limit is not None and limit < UNLIMITED_BYTES), default=None)
