"""The copy network as fast as PyTorch goes on a CPU: oneDNN's own LSTM, fed without page faults, one fused update.

torch.nn.LSTM hands each layer to oneDNN whole, forward and backward, which no loop of smaller products came near
(figures in docs/tuning.md). What is left around it is taken away: glibc gives the freed workspaces of every step back
to the system and has their pages cleared again in the next, a third of the time at the original's shape, so it is told
to keep them; and Adam is one fused call.
"""

from __future__ import annotations

import ctypes
import sys

import torch

from backends.contract import (
    PRECISIONS,
    Group,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    Unsupported,
    check_precision,
)
from backends.torch.device import product_dtype, resolve_device
from backends.torch.idiomatic import TorchTrainer
from backends.torch.optimizer import build_optimizer

# glibc's mallopt parameters (malloc.h) and the values that keep freed memory in the process.
MALLOC_SETTINGS = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 2**28)}


class TunedTorchTrainer(TorchTrainer):
    def __init__(
        self,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        parameters: Parameters,
        device: str,
        precision: str,
        group: Group | None,
    ) -> None:
        self.keeps_memory = keep_freed_memory()
        super().__init__(model, optimizer, parameters, device, precision, group)
        self.product_dtype = product_dtype(precision)
        self.optimizer = build_optimizer(optimizer, self.trained, fused=True)

    def settings(self) -> dict[str, Setting]:
        tuned = {"optimizer": "fused", "keeps_freed_memory": self.keeps_memory}
        return {**super().settings(), **tuned, "products": str(self.product_dtype).removeprefix("torch.")}

    def _logits(self, network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        rounds = self.product_dtype != self.dtype
        with torch.autocast(self.device.type, self.product_dtype if rounds else None, enabled=rounds):
            return super()._logits(network, inputs).to(self.dtype)


def check_bfloat16_lstm(device: torch.device) -> None:
    """Raise Unsupported where oneDNN has no LSTM in bfloat16 on this processor, as a step of the smallest one shows."""
    lstm = torch.nn.LSTM(1, 1).to(device)
    try:
        with torch.autocast(device.type, torch.bfloat16):
            outputs, _ = lstm(torch.zeros(1, 1, 1, device=device))
        outputs.sum().backward()
    except RuntimeError as error:
        why, *_ = str(error).split(". ")
        raise Unsupported(f"PyTorch has no LSTM in bfloat16 on this processor: {why}") from error


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory for the next step; False where memory does not come from glibc."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and has_glibc_malloc() and all(mallopt(*each) == 1 for each in MALLOC_SETTINGS.values())


def has_glibc_malloc() -> bool:
    """False where another allocator is preloaded, such as jemalloc: glibc's mallopt then answers in vain."""
    try:
        in_force, glibcs = (ctypes.CDLL(name).malloc for name in (None, "libc.so.6"))
    except OSError:
        return False
    return ctypes.cast(in_force, ctypes.c_void_p).value == ctypes.cast(glibcs, ctypes.c_void_p).value


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> TunedTorchTrainer:
    check_precision("the tuned PyTorch implementation", precision, PRECISIONS)
    if precision == "bfloat16":
        check_bfloat16_lstm(resolve_device(device))
    return TunedTorchTrainer(model, optimizer, parameters, device, precision, group)
