"""A training step in a CUDA graph: captured once for a shape of batch, then replayed on other contents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

WARM_UP_STEPS = 3


class Graph(Protocol):
    """What holds a step."""

    def __init__(self, device: torch.device) -> None: ...

    def capture(self, step: Callable[[], None]) -> None:
        """Remember what `step` does to the tensors that it reads and writes; it may be called several times."""
        ...

    def replay(self) -> None:
        """Do it again, to the same tensors."""
        ...


class CudaGraph:
    """CUDA's. Never run: it is all of a captured step that a CPU cannot stand in for."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.graph = device, torch.cuda.CUDAGraph()

    def capture(self, step: Callable[[], None]) -> None:
        with torch.cuda.device(self.device):
            # Libraries and the optimiser allocate in their first steps what a graph may not, on a stream of its own:
            # https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture
            present, warm_up = torch.cuda.current_stream(), torch.cuda.Stream()
            warm_up.wait_stream(present)
            with torch.cuda.stream(warm_up):
                for _ in range(WARM_UP_STEPS):
                    step()
            present.wait_stream(warm_up)
            with torch.cuda.graph(self.graph):
                step()

    def replay(self) -> None:
        with torch.cuda.device(self.device):
            self.graph.replay()


class StaticStep:
    """A training step on tensors that stay where they are, as a graph needs them: a call copies a batch into them.

    step: from inputs (batch, time, channels) and targets (batch, time, outputs) to the loss (), training the model.
    """

    def __init__(
        self,
        graph: Graph,
        step: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        inputs: torch.Tensor,
        targets: torch.Tensor,
    ) -> None:
        self.graph, self.inputs, self.targets = graph, inputs.clone(), targets.clone()
        self.loss = torch.zeros((), dtype=inputs.dtype, device=inputs.device)
        graph.capture(lambda: self.loss.copy_(step(self.inputs, self.targets)))

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss (), of its own: the next step overwrites the graph's."""
        self.inputs.copy_(inputs)
        self.targets.copy_(targets)
        self.graph.replay()
        return self.loss.clone()
