"""Devices and precision of PyTorch, in force before a model is built."""

from __future__ import annotations

import torch

from backends.contract import Group, Setting, Unsupported, Way

DTYPES = {"float32": torch.float32, "float64": torch.float64, "tf32": torch.float32, "bfloat16": torch.float32}


def gpus() -> list[str]:
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def resolve_device(device: str) -> torch.device:
    """The device for "auto", "cpu" or "cuda[:N]"; raises Unsupported for a GPU that is not there."""
    if device == "auto":
        device = "cuda:0" if gpus() else "cpu"
    resolved = "cuda:0" if device == "cuda" else device
    if resolved != "cpu" and resolved not in gpus():
        raise Unsupported(f"PyTorch sees no device {device}; it sees {', '.join(['cpu', *gpus()])}")
    return torch.device(resolved)


ON_CPU = Way("eager", "torch.nn.LSTM")
ON_GPU = Way("CUDA graph of a step", "torch.nn.LSTM")


def choose_way(device: str, precision: str, group: Group | None) -> Way:
    """The tuned implementation's way to train on a device, the same in every precision. Several ranks train as on a
    CPU, wherever they are."""
    return ON_GPU if group is None and resolve_device(device).type == "cuda" else ON_CPU


def resolve_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of parameters and of all but products; TF32 is on for "tf32" alone, so float32 means float32."""
    if precision == "tf32" and not has_tf32(device):
        raise Unsupported("tf32 needs a GPU of compute capability 8.0 or later")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return DTYPES[precision]


def product_dtype(precision: str) -> torch.dtype:
    """What the factors of products are rounded to."""
    return torch.bfloat16 if precision == "bfloat16" else DTYPES[precision]


def has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def wait_for(device: torch.device) -> None:
    """Return when the device has finished; PyTorch's CPU has finished when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory_bytes(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def device_settings(device: torch.device) -> dict[str, Setting]:
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
    }
