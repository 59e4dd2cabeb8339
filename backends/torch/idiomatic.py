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
    Group,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    State,
    check_precision,
)
from backends.state import pack_state, unpack_state
from backends.torch.device import device_settings, peak_memory_bytes, resolve_device, resolve_dtype, wait_for
from backends.torch.group import average, join, replicate
from backends.torch.optimizer import build_optimizer, clip_gradients, read_optimizer, write_optimizer


class CopyNetwork(nn.Module):
    """Stacked LSTM layers and a dense layer; returns logits (batch, time, outputs)."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        self.lstm = nn.LSTM(model.inputs, model.hidden, model.layers, batch_first=True)
        self.output = nn.Linear(model.hidden, model.outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(inputs)
        return self.output(hidden)


class WiredCopyNetwork(nn.Module):
    """The same with the wiring of ModelSpec, which reads between the layers: one torch.nn.LSTM for each."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        self.spec = model
        sizes = [model.layer_inputs(layer) for layer in range(model.layers)]
        self.lstm = nn.ModuleList([nn.LSTM(size, model.hidden, batch_first=True) for size in sizes])
        self.output = nn.Linear(model.output_inputs(), model.outputs)
        starts = range(model.layers if model.learned_initial_state else 0)
        self.initial_h, self.initial_c = (nn.ParameterList(torch.zeros(model.hidden) for _ in starts) for _ in "hc")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden, outputs = inputs, []
        for layer, lstm in enumerate(self.lstm):
            if layer and self.spec.input_to_every_layer:
                hidden = torch.cat([hidden, inputs], dim=-1)
            hidden, _ = lstm(hidden, self._initial_state(layer, len(inputs)))
            outputs.append(hidden)
        return self.output(torch.cat(outputs, dim=-1) if self.spec.every_layer_to_output else hidden)

    def _initial_state(self, layer: int, batch: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        if not self.spec.learned_initial_state:
            return None
        h, c = (state[layer].expand(1, batch, -1).contiguous() for state in (self.initial_h, self.initial_c))
        return h, c


class TorchTrainer:
    def __init__(
        self,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        parameters: Parameters,
        device: str,
        precision: str,
        group: Group | None,
    ) -> None:
        self.device = resolve_device(device)
        self.dtype = resolve_dtype(precision, self.device)
        self.group = join(group, self.device)
        self.spec, self.optimizer_spec = model, optimizer
        network = WiredCopyNetwork(model) if model.wiring else CopyNetwork(model)
        self.network = network.to(self.device, self.dtype)
        write_parameters(self.network, parameters)
        self.replica = replicate(self.network, self.group)
        self.trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(optimizer, self.trained)

    def train(self, chunk: Chunk) -> Array:
        inputs, targets = self._tensor(chunk.inputs), self._tensor(chunk.targets)
        losses = [self._train_step(*step) for step in zip(inputs, targets, chunk.learning_rates, strict=True)]
        mean_losses = average(torch.stack(losses), self.group)
        wait_for(self.device)
        return to_array(mean_losses)

    def predict(self, inputs: Array) -> Array:
        with torch.no_grad():
            return to_array(torch.sigmoid(self._logits(self.network, self._tensor(inputs))))

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        loss = self._backpropagate(self._tensor(batch.inputs), self._tensor(batch.targets))
        return average(loss, self.group).item(), read_gradients(self.network)

    def parameters(self) -> Parameters:
        return read_parameters(self.network)

    def state(self) -> State:
        named = canonical_parameters(self.network)
        m, v, steps = read_optimizer(self.optimizer_spec, self.optimizer, named.values())
        slots = ({name: _canonical(array) for name, array in zip(named, slot, strict=True)} for slot in (m, v))
        return pack_state(self.parameters(), *slots, steps)

    def restore(self, state: State) -> None:
        given = unpack_state(self.spec, state)
        named = canonical_parameters(self.network)
        write_parameters(self.network, given.parameters)
        m, v = ([self._tensor(slot[name].T) for name in named] for slot in (given.m, given.v))
        write_optimizer(self.optimizer_spec, self.optimizer, named.values(), m, v, given.steps)

    def exchange(self) -> None:
        average(torch.zeros(sum(parameter.numel() for parameter in self.trained), device=self.device), self.group)
        wait_for(self.device)

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {**device_settings(self.device), "execution": "eager", "lstm": "torch.nn.LSTM"}

    def _logits(self, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        return network(inputs)

    def _train_step(self, inputs: torch.Tensor, targets: torch.Tensor, learning_rate: float) -> torch.Tensor:
        loss = self._backpropagate(inputs, targets)
        clip_gradients(self.optimizer_spec, self.trained)
        self.optimizer.param_groups[0]["lr"] = float(learning_rate)
        self.optimizer.step()
        return loss

    def _backpropagate(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.network.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(self._logits(self.replica, inputs), targets)
        loss.backward()
        return loss.detach()

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.dtype)


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> TorchTrainer:
    check_precision("the idiomatic PyTorch implementation", precision, IDIOMATIC_PRECISIONS)
    return TorchTrainer(model, optimizer, parameters, device, precision, group)


def canonical_parameters(network: CopyNetwork | WiredCopyNetwork) -> dict[str, nn.Parameter]:
    """The network's parameters by canonical name. PyTorch's gates are i, f, g, o too, its kernels transposed."""
    named: dict[str, nn.Parameter] = {}
    for layer, (lstm, place) in enumerate(lstm_layers(network)):
        named[f"lstm.{layer}.kernel"] = getattr(lstm, f"weight_ih_l{place}")
        named[f"lstm.{layer}.recurrent_kernel"] = getattr(lstm, f"weight_hh_l{place}")
        named[f"lstm.{layer}.bias"] = getattr(lstm, f"bias_ih_l{place}")
        if isinstance(network, WiredCopyNetwork) and network.spec.learned_initial_state:
            named[f"lstm.{layer}.initial_h"] = network.initial_h[layer]
            named[f"lstm.{layer}.initial_c"] = network.initial_c[layer]
    named["output.kernel"], named["output.bias"] = network.output.weight, network.output.bias
    return named


def lstm_layers(network: CopyNetwork | WiredCopyNetwork) -> list[tuple[nn.LSTM, int]]:
    """Where each layer is: its torch.nn.LSTM and its place in it."""
    if isinstance(network, WiredCopyNetwork):
        return [(lstm, 0) for lstm in network.lstm]
    return [(network.lstm, layer) for layer in range(network.lstm.num_layers)]


@torch.no_grad()
def write_parameters(network: CopyNetwork | WiredCopyNetwork, parameters: Parameters) -> None:
    for name, parameter in canonical_parameters(network).items():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(parameters[name].T)))
    # The second bias of each gate would move with the first, twice as far as one: it stays at 0.
    for lstm, place in lstm_layers(network):
        getattr(lstm, f"bias_hh_l{place}").zero_().requires_grad_(False)


def read_parameters(network: CopyNetwork | WiredCopyNetwork) -> Parameters:
    return {name: _canonical(parameter) for name, parameter in canonical_parameters(network).items()}


def read_gradients(network: CopyNetwork | WiredCopyNetwork) -> Parameters:
    return {name: _canonical(parameter.grad) for name, parameter in canonical_parameters(network).items()}


def _canonical(tensor: torch.Tensor) -> Array:
    return to_array(tensor).T.copy()


def to_array(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().numpy()
