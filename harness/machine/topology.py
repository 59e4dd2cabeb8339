"""Which logical processors cells take, and in which order: one of each physical core first, performance cores before
the others, and never more than a control group's quota allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.machine.files import ROOT, read, read_integer
from harness.machine.limits import describe_limits
from harness.machine.processor import available_cpus

# Cores of one kind differ by some per cent in the frequency that they may reach, cores of two kinds by a quarter.
LEAST_SHARE_OF_FASTEST = 0.8


@dataclass(frozen=True)
class Processors:
    """The logical processors that this process may use, in the order in which cells take them: one of each performance
    core, one of each other core, then the second of each core. The first n_cores are on physical cores of their own,
    and n_performance of these are performance cores, all of them where cores are alike. quota is the processors' worth
    of time that the control group allows, None for no limit. Without affinity the order has no meaning but its length.
    """

    order: tuple[int, ...]
    n_cores: int
    n_performance: int
    quota: float | None = None
    has_affinity: bool = True

    @property
    def most(self) -> int:
        """The most threads that a cell may have."""
        return len(self.order) if self.quota is None else min(len(self.order), max(1, int(self.quota)))

    @property
    def allowed(self) -> str:
        """How many threads a cell may have, in words."""
        count = f"1 to {self.most} processors" if self.most > 1 else "1 processor"
        return f"{count}: {self._say_quota()}" if self.most < len(self.order) else count

    @property
    def default(self) -> int:
        """The threads that a cell has where nobody asks for a number: one on each physical core, within the quota."""
        return min(self.n_cores, self.most)

    @property
    def reason(self) -> str | None:
        """Why `default` are these and no more; None where they are simply all."""
        if self.default == len(self.order):
            return None
        why = f"one on each of {self.n_cores} physical cores, of {len(self.order)} logical processors"
        if self.default < self.n_cores:
            why = self._say_quota()
        return f"{why}, performance cores first" if self.n_performance < self.n_cores else why

    def _say_quota(self) -> str:
        return f"the control group allows {self.quota:g} processor{'s' * (self.quota != 1)}"

    def share(self, number: int, threads: int) -> list[int] | None:
        """The processors of the number-th cell or rank (0-based) of those that use the machine together, each `threads`
        of its own as long as there are, then the same again; None where the system has no affinity."""
        n_shares = max(1, self.most // threads)
        first = number % n_shares * threads
        return list(self.order[: self.most][first : first + threads]) if self.has_affinity else None


def find_processors(root: Path = ROOT) -> Processors:
    """Those of this process, as Linux tells of them, or as many as the system counts where it has no affinity."""
    available = available_cpus()
    if available is None:
        n_logical = psutil.cpu_count() or 1
        n_cores = min(n_logical, psutil.cpu_count(logical=False) or n_logical)
        return Processors(tuple(range(n_logical)), n_cores, n_cores, describe_limits(root)["cpus"], has_affinity=False)
    return order_processors(available, root)


def order_processors(available: Sequence[int], root: Path = ROOT) -> Processors:
    """The processors of an affinity. Where nothing tells which share a core, each is one of its own."""
    cpu = root / "sys/devices/system/cpu"
    cores: dict[str, list[int]] = defaultdict(list)
    for number in sorted(available):
        cores[_core(cpu / f"cpu{number}/topology", number)].append(number)
    performance = _performance_cores(available, root)
    # The place of each among the processors of its core that we may use: 0 for the first.
    place = {number: place for core in cores.values() for place, number in enumerate(core)}
    order = sorted(available, key=lambda number: (place[number], number not in performance, number))
    n_performance = sum(core[0] in performance for core in cores.values())
    return Processors(tuple(order), len(cores), n_performance, describe_limits(root)["cpus"])


def _core(topology: Path, number: int) -> str:
    """What the processors of one physical core have in common."""
    if siblings := read(topology / "thread_siblings_list"):
        return siblings
    package, core = read(topology / "physical_package_id"), read(topology / "core_id")
    return f"processor {number}" if core is None else f"package {package}, core {core}"


def _performance_cores(available: Sequence[int], root: Path) -> set[int]:
    """The processors of the fastest kind of core, by the first that tells kinds apart: the list of Intel's hybrid
    processors, the scheduler's capacity of each, the frequency it may reach. All of them where none does."""
    listed = _parse_list(read(root / "sys/devices/cpu_core/cpus") or "")
    if fastest := listed & {*available}:
        return fastest
    for file in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        speeds = {number: read_integer(root / f"sys/devices/system/cpu/cpu{number}/{file}") for number in available}
        known = {number: speed for number, speed in speeds.items() if speed is not None}
        bound = LEAST_SHARE_OF_FASTEST * max(known.values(), default=0)
        fastest = {number for number, speed in known.items() if speed >= bound}
        if len(known) == len(speeds) and len(fastest) < len(known):
            return fastest
    return {*available}


def write_list(numbers: Sequence[int]) -> str:
    """Numbers as Linux lists processors, in rising order: "0-3, 8"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _parse_list(text: str) -> set[int]:
    """Of "0-3,8" 0, 1, 2, 3 and 8; nothing of what is no such list."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            numbers |= {*range(int(first), int(last or first) + 1)}
    return numbers
