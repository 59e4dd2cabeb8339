"""The copy network as fast as PyTorch goes: on a CPU oneDNN's own LSTM, fed without page faults, and one fused update.

torch.nn.LSTM hands each layer to oneDNN whole, forward and backward, which no loop of smaller products came near
(figures in docs/tuning.md). What is left around it is taken away: glibc gives the freed workspaces of every step back
to the system and has their pages cleared again in the next, a third of the time at the original's shape, so it is told
to keep them; and Adam is one fused call.

On a GPU the LSTM is cuDNN's, and each step is a replay of a CUDA graph (backends/torch/graph.py): its hundreds of
kernels are launched at once. Never run, for want of a GPU; docs/gpu.md says what was checked without one.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import torch

from backends.contract import (
    PRECISIONS,
    Array,
    Chunk,
    Group,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    Unsupported,
    check_precision,
)
from backends.torch.device import ON_CPU, ON_GPU, choose_way, product_dtype, resolve_device, wait_for
from backends.torch.graph import CudaGraph, Graph, StaticStep
from backends.torch.idiomatic import TorchTrainer, to_array
from backends.torch.optimizer import build_optimizer, clip_gradients

# glibc's mallopt parameters (malloc.h) and the values that keep freed memory in the process.
MALLOC_SETTINGS = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 2**28)}


class TunedTorchTrainer(TorchTrainer):
    way = ON_CPU

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
        products = str(self.product_dtype).removeprefix("torch.")
        return {**super().settings(), **self.way._asdict(), **tuned, "products": products}

    def _logits(self, network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        rounds = self.product_dtype != self.dtype
        with torch.autocast(self.device.type, self.product_dtype if rounds else None, enabled=rounds):
            return super()._logits(network, inputs).to(self.dtype)


class CapturedTorchTrainer(TunedTorchTrainer):
    """The same, with each step a replay of a graph, of which there is one for each shape of batch."""

    way = ON_GPU

    def __init__(self, *arguments: Any, new_graph: type[Graph] = CudaGraph) -> None:
        super().__init__(*arguments)
        self.learning_rate = torch.zeros((), dtype=torch.float32, device=self.device)
        self.optimizer = build_optimizer(
            self.optimizer_spec, self.trained, fused=True, learning_rate=self.learning_rate
        )
        self.new_graph = new_graph
        self.static_steps: dict[tuple[torch.Size, torch.Size], StaticStep] = {}

    def train(self, chunk: Chunk) -> Array:
        inputs, targets = self._tensor(chunk.inputs), self._tensor(chunk.targets)
        rates = torch.from_numpy(chunk.learning_rates).to(self.device, torch.float32)
        step = self._static_step(inputs[0], targets[0])
        losses = []
        for inputs_k, targets_k, rate in zip(inputs, targets, rates, strict=True):
            self.learning_rate.copy_(rate)
            losses.append(step(inputs_k, targets_k))
        wait_for(self.device)
        return to_array(torch.stack(losses))

    def _static_step(self, inputs: torch.Tensor, targets: torch.Tensor) -> StaticStep:
        shapes = inputs.shape, targets.shape
        if shapes not in self.static_steps:
            # Capturing takes some steps first. The graph reads and writes where the state is, so it is put back there.
            before = self.state()
            self.static_steps[shapes] = StaticStep(self.new_graph(self.device), self._step, inputs, targets)
            self.restore(before)
        return self.static_steps[shapes]

    def _step(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = self._backpropagate(inputs, targets)
        clip_gradients(self.optimizer_spec, self.trained)
        self.optimizer.step()
        return loss


def check_bfloat16_lstm(device: torch.device) -> None:
    """Raise Unsupported where PyTorch has no LSTM in bfloat16 on this device, as a step of the smallest one shows:
    oneDNN has none on some processors, and what autocast hands to cuDNN is float16 whatever it was asked for
    (aten/src/ATen/cudnn/AutocastRNN.cpp)."""
    lstm = torch.nn.LSTM(1, 1).to(device)
    try:
        with torch.autocast(device.type, torch.bfloat16):
            outputs, _ = lstm(torch.zeros(1, 1, 1, device=device))
        outputs.sum().backward()
    except RuntimeError as error:
        why, *_ = str(error).split(". ")
        raise Unsupported(f"PyTorch has no LSTM in bfloat16 on this processor: {why}") from error
    if outputs.dtype != torch.bfloat16:
        rounded = str(outputs.dtype).removeprefix("torch.")
        raise Unsupported(f"PyTorch's autocast rounds an LSTM's products to {rounded} on this device, not to bfloat16")


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
    trainer = CapturedTorchTrainer if choose_way(device, precision, group) == ON_GPU else TunedTorchTrainer
    return trainer(model, optimizer, parameters, device, precision, group)
