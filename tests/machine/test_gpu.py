"""GPUs, with a stand-in for NVIDIA's library where there is none to ask, and the driver's files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.machine.gpu import describe_gpus


class Refused(Exception):
    pass


def make_library(**changes: Any) -> SimpleNamespace:
    """pynvml with one device of which the power limit is not told, and a name in bytes as older versions have it."""

    def refuse(*_: Any) -> None:
        raise Refused

    functions = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "600.10",
        "nvmlSystemGetCudaDriverVersion": lambda: 13020,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda _: b"Imaginary GPU",
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=2**37),
        "nvmlDeviceGetCudaComputeCapability": lambda _: (9, 0),
        "nvmlDeviceGetPowerManagementLimit": refuse,
        "nvmlDeviceGetMaxClockInfo": lambda _, clock: 1980,
        "nvmlDeviceGetMigMode": lambda _: [0, 0],
    }
    return SimpleNamespace(NVMLError=Refused, NVML_CLOCK_SM=1, **functions | changes)


def test_a_device_tells_what_it_can_and_the_rest_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", make_library())
    found = describe_gpus()
    assert (found["driver"], found["cuda"]) == ("600.10", "13.2")
    assert found["devices"] == [
        {
            "name": "Imaginary GPU",
            "memory_bytes": 2**37,
            "compute_capability": "9.0",
            "power_limit_w": None,
            "clock_mhz_most": 1980,
            "multi_instance": False,
        }
    ]


def test_without_the_library_the_drivers_files_tell_names_and_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    folder = tmp_path / "proc/driver/nvidia"
    (folder / "gpus/0000:01:00.0").mkdir(parents=True)
    (folder / "gpus/0000:01:00.0/information").write_text("Model: \t\t Imaginary GPU\nIRQ: 5\n")
    (folder / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue\n")
    found = describe_gpus(tmp_path)
    assert (found["devices"], found["driver"], found["cuda"]) == ([{"name": "Imaginary GPU"}], "550.54.15", None)


@pytest.mark.parametrize("function", ["nvmlInit", "nvmlSystemGetCudaDriverVersion", "nvmlDeviceGetHandleByIndex"])
def test_a_library_that_refuses_is_no_failure(function: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any) -> None:
        raise Refused

    monkeypatch.setitem(sys.modules, "pynvml", make_library(**{function: refuse}))
    assert describe_gpus(tmp_path)["devices"] == []
