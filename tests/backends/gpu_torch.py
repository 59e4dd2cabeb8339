"""A backend: the way that the tuned PyTorch implementation takes on a GPU, on a CPU, with a stand-in for the graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backends.contract import PRECISIONS, check_precision
from backends.torch.graph import WARM_UP_STEPS
from backends.torch.tuned import CapturedTorchTrainer, check_bfloat16_lstm


class RecordedGraph(TorchDispatchMode):
    """Repeats a step's operations on the very tensors that it had, as CUDA's graph does its kernels: a tensor that was
    put in another's place, and a number that was read on the host, are not seen."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.operations: list[tuple[Callable[[], object], list[Any]]] = []

    def capture(self, step: Callable[[], object]) -> None:
        for _ in range(WARM_UP_STEPS):
            step()
        with self:
            step()

    def replay(self) -> None:
        for repeat, results in self.operations:
            for result, value in zip(results, tree_leaves(repeat()), strict=True):
                if isinstance(result, torch.Tensor) and result is not value:
                    result.copy_(value)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(func), "a graph cannot hold what the host reads"
        repeat = partial(run_below_autograd, torch.is_grad_enabled(), func, *args, **(kwargs or {}))
        result = repeat()
        # A view goes on to show what it is of.
        if not func.is_view:
            self.operations.append((repeat, tree_leaves(result)))
        return result


def run_below_autograd(with_gradients: bool, operation: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """As the recorder meets it. oneDNN's LSTM leaves what its backward pass needs only where gradients are on."""
    with torch._C._AutoDispatchBelowAutograd(), torch.set_grad_enabled(with_gradients):
        return operation(*arguments, **named)


def build(*arguments: Any, device: str, precision: str) -> CapturedTorchTrainer:
    check_precision("PyTorch on a CPU", precision, tuple(each for each in PRECISIONS if each != "tf32"))
    if precision == "bfloat16":
        check_bfloat16_lstm(torch.device("cpu"))
    return CapturedTorchTrainer(*arguments, device, precision, None, new_graph=RecordedGraph)
