"""The GPUs, as NVIDIA's management library tells of them, or else the driver's files."""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path
from typing import Any

from harness.machine.files import ROOT, read

# Distributions that bring CUDA's libraries with them, however the CUDA release is spelled at their end.
CUDA_PACKAGES = re.compile(r"nvidia-(cuda-runtime|cudnn|cublas|nccl)(-cu\d+)?|jax-cuda\d+-plugin")


def describe_gpus(root: Path = ROOT) -> dict[str, Any]:
    """devices with name, memory and compute capability, the driver, the CUDA release it supports, and the versions of
    CUDA's libraries that are installed as packages."""
    found = _ask_library() or {"devices": _read_driver_files(root), "driver": _driver_version(root), "cuda": None}
    return {**found, "packages": _cuda_packages()}


def gpu_devices() -> list[dict[str, Any]]:
    """The GPUs of this machine."""
    devices: list[dict[str, Any]] = describe_gpus()["devices"]
    return devices


def visible_gpus(n_gpus: int) -> list[str]:
    """The names, for CUDA_VISIBLE_DEVICES, of those of this machine's n_gpus that this process may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(number) for number in range(n_gpus)]
    # CUDA sees what comes before the first number that is none.
    return [name.strip() for name in visible.partition("-1")[0].split(",") if name.strip()]


def _ask_library() -> dict[str, Any] | None:
    """None without the library, a driver or a GPU."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        # Without a driver the library raises errors of its own kinds, and so do broken installations of it.
        return None
    try:
        cuda = pynvml.nvmlSystemGetCudaDriverVersion()
        return {
            "devices": [_device(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())],
            "driver": _text(pynvml.nvmlSystemGetDriverVersion()),
            "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
        }
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _device(pynvml: Any, index: int) -> dict[str, Any]:
    """What a device does not tell is None."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)

    def ask(name: str, *arguments: Any) -> Any:
        try:
            return getattr(pynvml, name)(handle, *arguments)
        except (pynvml.NVMLError, AttributeError):
            return None

    memory, capability = ask("nvmlDeviceGetMemoryInfo"), ask("nvmlDeviceGetCudaComputeCapability")
    limit_mw = ask("nvmlDeviceGetPowerManagementLimit")
    mode = ask("nvmlDeviceGetMigMode")
    return {
        "name": _text(ask("nvmlDeviceGetName")),
        "memory_bytes": memory.total if memory else None,
        "compute_capability": ".".join(map(str, capability)) if capability else None,
        "power_limit_w": limit_mw / 1000 if limit_mw else None,
        "clock_mhz_most": ask("nvmlDeviceGetMaxClockInfo", pynvml.NVML_CLOCK_SM),
        "multi_instance": bool(mode[0]) if mode else None,
    }


def _read_driver_files(root: Path) -> list[dict[str, Any]]:
    devices = []
    for path in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        model = re.search(r"^Model:\s*(.+)$", read(path) or "", re.MULTILINE)
        devices.append({"name": model[1].strip() if model else None})
    return devices


def _driver_version(root: Path) -> str | None:
    found = re.search(r"Kernel Module\D*?([\d.]+)", read(root / "proc/driver/nvidia/version") or "")
    return found[1] if found else None


def _cuda_packages() -> dict[str, str]:
    named = ((item.metadata["Name"] or "", item.version) for item in importlib.metadata.distributions())
    return {name: version for name, version in sorted(named) if CUDA_PACKAGES.fullmatch(name)}


def _text(value: Any) -> str | None:
    """Older versions of the library answer in bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
