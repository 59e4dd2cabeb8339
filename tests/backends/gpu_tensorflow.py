"""A backend: the way that the tuned TensorFlow implementation takes on a GPU, on a CPU, with Keras' loop for cuDNN."""

from __future__ import annotations

from typing import Any

from backends.contract import check_precision
from backends.tensorflow.tuned import CudnnTensorFlowTrainer


class CudnnStandIn(CudnnTensorFlowTrainer):
    use_cudnn = "auto"


def build(*arguments: Any, device: str, precision: str) -> CudnnStandIn:
    check_precision("TensorFlow on a CPU", precision, ("float32", "float64"))
    return CudnnStandIn(*arguments, device, precision, None)
