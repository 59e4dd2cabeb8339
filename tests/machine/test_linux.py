"""What Linux tells in its files, from made-up trees of them."""

from __future__ import annotations

from pathlib import Path

from harness.machine.gpu import describe_gpus
from harness.machine.limits import describe_limits
from harness.machine.processor import cpu_model, describe_processor


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_an_empty_tree_tells_nothing_and_nothing_fails(tmp_path: Path) -> None:
    assert cpu_model(tmp_path)
    known = describe_processor(tmp_path)
    assert (known["instruction_sets"], known["caches"], known["governor"], known["boost"]) == ([], {}, None, None)
    assert describe_limits(tmp_path) == {"cpus": None, "memory_bytes": None}
    assert describe_gpus(tmp_path)["devices"] == []


def test_the_processor_is_read_from_its_files(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    write(
        tmp_path,
        {
            "proc/cpuinfo": "processor: 0\nmodel name\t: Imaginary 9000\nflags\t\t: fpu avx2 avx512f\n",
            f"{cpu}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{cpu}/cpu1/cpufreq/scaling_governor": "performance\n",
            f"{cpu}/intel_pstate/no_turbo": "0\n",
            f"{cpu}/smt/active": "1\n",
            f"{cpu}/cpu0/cache/index0/level": "1",
            f"{cpu}/cpu0/cache/index0/type": "Data",
            f"{cpu}/cpu0/cache/index0/size": "32K",
            f"{cpu}/cpu0/cache/index3/level": "3",
            f"{cpu}/cpu0/cache/index3/type": "Unified",
            f"{cpu}/cpu0/cache/index3/size": "32768K",
            "sys/devices/system/node/node0/x": "",
            "sys/devices/system/node/node1/x": "",
            "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        },
    )
    assert cpu_model(tmp_path) == "Imaginary 9000"
    known = describe_processor(tmp_path)
    del known["frequency_mhz"]
    assert known == {
        "instruction_sets": ["avx2", "avx512f"],
        "caches": {"L1 Data": "32K", "L3": "32768K"},
        "governor": "performance, powersave",
        "boost": True,
        "threads_per_core_active": True,
        "numa_nodes": 2,
        "transparent_huge_pages": "madvise",
    }


def test_the_narrowest_limit_of_the_groups_counts(tmp_path: Path) -> None:
    groups = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": "0::/work/job\n",
        f"{groups}/work/cpu.max": "400000 100000\n",
        f"{groups}/work/job/cpu.max": "max 100000\n",
        f"{groups}/work/memory.max": "max\n",
        f"{groups}/work/job/memory.max": "1073741824\n",
    }
    assert describe_limits(write(tmp_path, files)) == {"cpus": 4.0, "memory_bytes": 2**30}


def test_version_1_groups_have_limits_too(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:cpu:/docker/abc\n3:memory:/docker/abc\n",
        "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "150000\n",
        "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert describe_limits(write(tmp_path, files)) == {"cpus": 1.5, "memory_bytes": None}
