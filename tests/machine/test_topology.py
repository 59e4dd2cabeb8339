"""Which processors cells take, from made-up trees of what Linux tells: hybrid ones, two threads a core, quotas."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from harness.machine import topology
from harness.machine.topology import Processors, find_processors, order_processors, write_list

CPU = "sys/devices/system/cpu"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def siblings(*cores: str) -> dict[str, str]:
    """The files that say which processors share a core; each core as Linux writes it, "0,4" or "0-1"."""
    numbers = {core: core.replace("-", ",").split(",") for core in cores}
    return {f"{CPU}/cpu{n}/topology/thread_siblings_list": core for core in cores for n in numbers[core]}


def in_file(name: str, values: dict[int, int]) -> dict[str, str]:
    return {f"{CPU}/cpu{number}/{name}": str(value) for number, value in values.items()}


def quota(cpus: float) -> dict[str, str]:
    return {"sys/fs/cgroup/cpu.max": f"{int(100_000 * cpus)} 100000"}


def test_cores_of_one_thread_are_taken_as_they_are_counted(tmp_path: Path) -> None:
    found = order_processors(range(4), write(tmp_path, siblings("0", "1", "2", "3")))
    assert found.share(0, found.default) == [0, 1, 2, 3]
    assert found.reason is None


@pytest.mark.parametrize("cores", [("0,4", "1,5", "2,6", "3,7"), ("0-1", "2-3", "4-5", "6-7")])
def test_of_two_threads_a_core_one_is_taken_by_default_and_the_other_last(
    cores: tuple[str, ...], tmp_path: Path
) -> None:
    found = order_processors(range(8), write(tmp_path, siblings(*cores)))
    first = [int(core[0]) for core in cores]
    assert found.share(0, found.default) == first
    assert found.share(0, 8) == [*first, *(int(core[2]) for core in cores)]
    assert found.reason == "one on each of 4 physical cores, of 8 logical processors"


def test_an_older_system_tells_cores_by_their_numbers_in_each_package(tmp_path: Path) -> None:
    package = in_file("topology/physical_package_id", {0: 0, 1: 1, 2: 0, 3: 1})
    found = order_processors(
        range(4), write(tmp_path, package | in_file("topology/core_id", dict.fromkeys(range(4), 0)))
    )
    assert found.share(0, found.default) == [0, 1]


HYBRID = ("0-1", "2-3", "4", "5")


@pytest.mark.parametrize(
    "files",
    [
        {"sys/devices/cpu_core/cpus": "0-3", "sys/devices/cpu_atom/cpus": "4-5"},
        # Favoured cores of one kind differ a little.
        in_file("cpufreq/cpuinfo_max_freq", {0: 5200, 1: 5200, 2: 5000, 3: 5000, 4: 3900, 5: 3900}),
        in_file("cpu_capacity", {0: 1024, 1: 1024, 2: 1000, 3: 1000, 4: 600, 5: 600}),
        in_file("cpu_capacity", dict.fromkeys(range(6), 1024))
        | in_file("cpufreq/cpuinfo_max_freq", {0: 5, 1: 5, 2: 5, 3: 5, 4: 3, 5: 3}),
    ],
)
def test_performance_cores_come_first_and_second_threads_last(files: dict[str, str], tmp_path: Path) -> None:
    found = order_processors(range(6), write(tmp_path, siblings(*HYBRID) | files))
    assert found.order == (0, 2, 4, 5, 1, 3)
    assert found.share(0, 2) == [0, 2]
    assert found.reason == "one on each of 4 physical cores, of 6 logical processors, performance cores first"


def test_slow_cores_that_are_counted_first_are_taken_last(tmp_path: Path) -> None:
    capacities = in_file("cpu_capacity", {0: 400, 1: 400, 2: 1024, 3: 1024})
    assert order_processors(range(4), write(tmp_path, capacities)).order == (2, 3, 0, 1)


def test_only_what_the_affinity_holds_is_taken(tmp_path: Path) -> None:
    root = write(tmp_path, siblings("0,4", "1,5", "2,6", "3,7") | {"sys/devices/cpu_core/cpus": "0-1,4-5"})
    found = order_processors([2, 3, 5, 6], root)
    assert (found.order, found.default) == ((5, 2, 3, 6), 3)
    only_slow = order_processors([2, 3], root)
    assert (only_slow.order, only_slow.reason) == ((2, 3), None)


@pytest.mark.parametrize(
    ("allowed", "n_threads"), [(0.5, 1), (1.0, 1), (1.5, 1), (2.0, 2), (3.9, 3), (6.0, 4), (64, 4)]
)
def test_no_more_threads_than_the_quota_pays_for(allowed: float, n_threads: int, tmp_path: Path) -> None:
    found = order_processors(range(8), write(tmp_path, siblings("0,4", "1,5", "2,6", "3,7") | quota(allowed)))
    assert found.share(0, found.default) == [0, 1, 2, 3][:n_threads]
    assert found.most == max(1, min(8, int(allowed)))


def test_a_quota_of_version_1_counts_as_well(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:cpu:/docker/abc",
        "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "150000",
        "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000",
    }
    found = order_processors(range(4), write(tmp_path, files))
    assert (found.default, found.reason) == (1, "the control group allows 1.5 processors")


def test_cells_that_use_the_machine_together_share_no_processor_while_there_are_enough() -> None:
    found = Processors(order=(0, 2, 4, 1, 3, 5), n_cores=3, n_performance=3)
    assert [found.share(number, 2) for number in range(4)] == [[0, 2], [4, 1], [3, 5], [0, 2]]
    limited = Processors(order=(0, 2, 4, 1, 3, 5), n_cores=3, n_performance=3, quota=1.5)
    assert [limited.share(number, 1) for number in range(3)] == [[0], [0], [0]]


def test_without_affinity_threads_are_counted_and_nobody_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "available_cpus", lambda: None)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8 if logical else 4)
    found = find_processors(tmp_path)
    assert (found.default, found.most, found.share(0, 4)) == (4, 8, None)


def test_without_a_word_on_cores_each_processor_is_one(tmp_path: Path) -> None:
    found = order_processors([1, 3], tmp_path)
    assert (found.order, found.default, found.reason) == ((1, 3), 2, None)


@pytest.mark.parametrize(("numbers", "text"), [([], ""), ([3], "3"), ([8, 0, 1, 2], "0-2, 8"), ([0, 2], "0, 2")])
def test_processors_are_written_as_linux_lists_them(numbers: list[int], text: str) -> None:
    assert write_list(numbers) == text
