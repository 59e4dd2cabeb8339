"""Devices and precision of TensorFlow, in force before a model is built."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from backends.contract import Group, Setting, Unsupported, Way

DTYPES = {"float32": tf.float32, "float64": tf.float64, "tf32": tf.float32, "bfloat16": tf.float32}


def gpus() -> list[str]:
    return [f"cuda:{index}" for index in range(len(tf.config.list_physical_devices("GPU")))]


def resolve_device(device: str) -> str:
    """The device for "auto", "cpu" or "cuda[:N]"; raises Unsupported for a GPU that is not there."""
    if device == "auto":
        device = "cuda:0" if gpus() else "cpu"
    resolved = "cuda:0" if device == "cuda" else device
    if resolved != "cpu" and resolved not in gpus():
        raise Unsupported(f"TensorFlow sees no device {device}; it sees {', '.join(['cpu', *gpus()])}")
    return resolved


ON_CPU = Way("XLA of K steps", "tf.while_loop with custom_gradient")
ON_GPU = Way("tf.function of K steps", "keras.layers.LSTM with cuDNN")


def choose_way(device: str, precision: str, group: Group | None) -> Way:
    """The tuned implementation's way to train on a device. Several ranks train as on a CPU, wherever they are, and so
    does what is not in float32: cuDNN would round the states to bfloat16 too."""
    by_cudnn = group is None and DTYPES[precision] == product_dtype(precision) == tf.float32
    return ON_GPU if by_cudnn and resolve_device(device) != "cpu" else ON_CPU


def resolve_dtype(precision: str, device: str) -> tf.DType:
    """The dtype of parameters and of all but products; TF32 is on for "tf32" alone, so float32 means float32."""
    if precision == "tf32" and not has_tf32(device):
        raise Unsupported("tf32 needs a GPU of compute capability 8.0 or later")
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
    return DTYPES[precision]


def product_dtype(precision: str) -> tf.DType:
    """What the factors of products are rounded to."""
    return tf.bfloat16 if precision == "bfloat16" else DTYPES[precision]


def has_tf32(device: str) -> bool:
    return device != "cpu" and _gpu_details(device).get("compute_capability", (0, 0)) >= (8, 0)


def device_scope(device: str) -> tf.device:
    """The scope under which variables and steps are placed on the device."""
    return tf.device(device.replace("cuda", "/GPU").replace("cpu", "/CPU:0"))


def peak_memory_bytes(device: str) -> int | None:
    if device == "cpu":
        return None
    return int(tf.config.experimental.get_memory_info(device.replace("cuda", "GPU"))["peak"])


def device_settings(device: str) -> dict[str, Setting]:
    return {
        "device": device,
        "device_name": _gpu_name(device) if device != "cpu" else "cpu",
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def _gpu_name(device: str) -> str:
    return str(_gpu_details(device).get("device_name", "unknown"))


def _gpu_details(device: str) -> dict[str, Any]:
    gpu = tf.config.list_physical_devices("GPU")[int(device.partition(":")[2])]
    return tf.config.experimental.get_device_details(gpu)
