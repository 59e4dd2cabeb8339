"""The copy network as a PyTorch user would write it: torch.nn.LSTM in an eager training loop."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from backends.contract import (
    IDIOMATIC_PRECISIONS,
    Array,
    Batch,
    Chunk,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    check_precision,
)
from backends.torch.device import device_settings, peak_memory_bytes, resolve_device, resolve_dtype, wait_for
from backends.torch.optimizer import build_optimizer, clip_gradients


class CopyNetwork(nn.Module):
    """Stacked LSTM layers and a dense layer; returns logits (batch, time, outputs)."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        self.lstm = nn.LSTM(model.inputs, model.hidden, model.layers, batch_first=True)
        self.output = nn.Linear(model.hidden, model.outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(inputs)
        return self.output(hidden)


class TorchTrainer:
    def __init__(
        self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, device: str, precision: str
    ) -> None:
        self.device = resolve_device(device)
        self.dtype = resolve_dtype(precision, self.device)
        self.spec, self.optimizer_spec = model, optimizer
        self.network = CopyNetwork(model).to(self.device, self.dtype)
        write_parameters(self.network, parameters)
        self.trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(optimizer, self.trained)

    def train(self, chunk: Chunk) -> Array:
        inputs, targets = self._tensor(chunk.inputs), self._tensor(chunk.targets)
        losses = [self._train_step(*step) for step in zip(inputs, targets, chunk.learning_rates, strict=True)]
        wait_for(self.device)
        return _array(torch.stack(losses))

    def predict(self, inputs: Array) -> Array:
        with torch.no_grad():
            return _array(torch.sigmoid(self._logits(self._tensor(inputs))))

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        loss = self._backpropagate(self._tensor(batch.inputs), self._tensor(batch.targets))
        return loss.item(), read_gradients(self.network)

    def parameters(self) -> Parameters:
        return read_parameters(self.network)

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {**device_settings(self.device), "execution": "eager", "lstm": "torch.nn.LSTM"}

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.network(inputs)

    def _train_step(self, inputs: torch.Tensor, targets: torch.Tensor, learning_rate: float) -> torch.Tensor:
        loss = self._backpropagate(inputs, targets)
        clip_gradients(self.optimizer_spec, self.trained)
        self.optimizer.param_groups[0]["lr"] = float(learning_rate)
        self.optimizer.step()
        return loss

    def _backpropagate(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.network.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(self._logits(inputs), targets)
        loss.backward()
        return loss.detach()

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.dtype)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> TorchTrainer:
    check_precision("the idiomatic PyTorch implementation", precision, IDIOMATIC_PRECISIONS)
    return TorchTrainer(model, optimizer, parameters, device, precision)


def canonical_parameters(network: CopyNetwork) -> dict[str, nn.Parameter]:
    """The network's parameters by canonical name. PyTorch's gates are i, f, g, o too, its kernels transposed."""
    named: dict[str, nn.Parameter] = {}
    for layer in range(network.lstm.num_layers):
        named[f"lstm.{layer}.kernel"] = getattr(network.lstm, f"weight_ih_l{layer}")
        named[f"lstm.{layer}.recurrent_kernel"] = getattr(network.lstm, f"weight_hh_l{layer}")
        named[f"lstm.{layer}.bias"] = getattr(network.lstm, f"bias_ih_l{layer}")
    named["output.kernel"], named["output.bias"] = network.output.weight, network.output.bias
    return named


@torch.no_grad()
def write_parameters(network: CopyNetwork, parameters: Parameters) -> None:
    for name, parameter in canonical_parameters(network).items():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(parameters[name].T)))
    # The second bias of each gate would move with the first, twice as far as one: it stays at 0.
    for layer in range(network.lstm.num_layers):
        getattr(network.lstm, f"bias_hh_l{layer}").zero_().requires_grad_(False)


def read_parameters(network: CopyNetwork) -> Parameters:
    return {name: _array(parameter).T.copy() for name, parameter in canonical_parameters(network).items()}


def read_gradients(network: CopyNetwork) -> Parameters:
    return {name: _array(parameter.grad).T.copy() for name, parameter in canonical_parameters(network).items()}


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().numpy()
