"""PyTorch's ways to multiply two matrices, for the machine's ceiling."""

from __future__ import annotations

from collections.abc import Callable

import torch

from backends.contract import Array
from backends.torch.device import product_dtype, resolve_device, resolve_dtype, wait_for


def name_device(device: str) -> str:
    """The device that "auto" or "cuda" stands for here. Raises Unsupported for one that is not there."""
    return str(resolve_device(device))


def build_products(left: Array, right: Array, *, device: str, precision: str) -> dict[str, Callable[[], torch.Tensor]]:
    """By name, each way to multiply (m, k) by (k, n); a call returns the product once the device has finished."""
    place = resolve_device(device)
    resolve_dtype(precision, place)
    dtype = product_dtype(precision)
    a, b = (torch.from_numpy(array).to(place, dtype) for array in (left, right))
    result = torch.empty(len(a), b.shape[1], device=place, dtype=dtype)

    def multiply() -> torch.Tensor:
        torch.mm(a, b, out=result)
        wait_for(place)
        return result

    products = {"torch.mm": multiply}
    if place.type == "cpu" and has_onednn(dtype):
        # As oneDNN's LSTM has them: packed into its own layout before they are multiplied with.
        weights = torch.ops.mkldnn._reorder_linear_weight(b.T.contiguous(), len(a))
        products["oneDNN linear"] = lambda: torch.ops.mkldnn._linear_pointwise(a, weights, None, "none", [], "")
    return products


def has_onednn(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies in this dtype on this processor. torch.mm may leave it to MKL, which makes no use of
    AVX-512 on another vendor's processors and then reaches half of oneDNN's rate."""
    if dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return torch.backends.mkldnn.is_available() and dtype in (torch.float32, torch.bfloat16)
