"""Devices and precision of JAX, in force before a model is built."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from backends.contract import Group, Setting, Unsupported, Way

DTYPES = {"float32": jnp.float32, "float64": jnp.float64, "tf32": jnp.float32, "bfloat16": jnp.float32}


def gpus() -> list[str]:
    return [f"cuda:{index}" for index, device in enumerate(jax.local_devices()) if device.platform == "gpu"]


def resolve_device(device: str) -> jax.Device:
    """The device for "auto", "cpu" or "cuda[:N]"; raises Unsupported for a GPU that is not there."""
    if device == "auto":
        device = "cuda:0" if gpus() else "cpu"
    resolved = "cuda:0" if device == "cuda" else device
    if resolved != "cpu" and resolved not in gpus():
        raise Unsupported(f"JAX sees no device {device}; it sees {', '.join(['cpu', *gpus()])}")
    platform, index = ("cpu", 0) if resolved == "cpu" else ("gpu", gpus().index(resolved))
    return jax.local_devices(backend=platform)[index]


BY_SCAN = Way("jit of K steps", "lax.scan with custom_vjp")
BY_CUDNN = Way("jit of K steps", "jax.experimental.rnn with cuDNN")


def possible_ways(device: str, precision: str, group: Group | None) -> tuple[Way, ...]:
    """The tuned implementation's ways to train on a device, of which a trial finds the faster. Several ranks train as
    on a CPU, wherever they are, and so does what is not in float32, in which alone JAX has cuDNN's LSTM."""
    by_cudnn = group is None and DTYPES[precision] == product_dtype(precision) == jnp.float32
    return (BY_SCAN, BY_CUDNN) if by_cudnn and resolve_device(device).platform == "gpu" else (BY_SCAN,)


def resolve_dtype(precision: str, device: jax.Device) -> jnp.dtype:
    """The dtype of parameters and of all but products; TF32 is on for "tf32" alone, so float32 means float32."""
    if precision == "tf32" and not has_tf32(device):
        raise Unsupported("tf32 needs a GPU of compute capability 8.0 or later")
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if precision == "tf32" else "highest")
    jax.config.update("jax_enable_x64", precision == "float64")
    return jnp.dtype(DTYPES[precision])


def product_dtype(precision: str) -> jnp.dtype:
    """What the factors of products are rounded to."""
    return jnp.dtype(jnp.bfloat16 if precision == "bfloat16" else DTYPES[precision])


def has_tf32(device: jax.Device) -> bool:
    return device.platform == "gpu" and float(device.compute_capability) >= 8.0


def peak_memory_bytes(device: jax.Device) -> int | None:
    statistics = device.memory_stats() if device.platform == "gpu" else None
    return int(statistics["peak_bytes_in_use"]) if statistics else None


def device_settings(device: jax.Device) -> dict[str, Setting]:
    return {
        "device": f"cuda:{device.local_hardware_id}" if device.platform == "gpu" else "cpu",
        "device_name": device.device_kind,
        "tf32": jax.config.jax_default_matmul_precision != "highest",
    }
