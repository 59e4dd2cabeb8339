"""PyTorch's own matrix product, for the machine's ceiling."""

from __future__ import annotations

from collections.abc import Callable

import torch

from backends.contract import Array
from backends.torch.device import product_dtype, resolve_device, resolve_dtype, wait_for


def build_product(left: Array, right: Array, *, device: str, precision: str) -> Callable[[], None]:
    """A call that multiplies (m, k) by (k, n) and returns when the device has finished."""
    place = resolve_device(device)
    resolve_dtype(precision, place)
    dtype = product_dtype(precision)
    a, b = (torch.from_numpy(array).to(place, dtype) for array in (left, right))
    result = torch.empty(len(a), b.shape[1], device=place, dtype=dtype)

    def product() -> None:
        torch.mm(a, b, out=result)
        wait_for(place)

    return product
