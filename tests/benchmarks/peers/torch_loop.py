"""PyTorch as its tutorial has it: a Module, a DataLoader and the plain training loop."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from harness.task.recipe import RunConfig


class Network(nn.Module):
    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.task.input_channels, config.model.hidden, config.model.layers, batch_first=True)
        self.output = nn.Linear(config.model.hidden, config.task.bits)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(inputs)
        return self.output(hidden)


def prepare(config: RunConfig, n_steps: int) -> Callable[[int], float]:
    """A call is the training loop over that many batches; returns the last loss, nats."""
    batches = [config.task.batch(seed=0, step=step, size=config.train.batch) for step in range(n_steps)]
    inputs = torch.cat([torch.from_numpy(batch.inputs) for batch in batches])
    targets = torch.cat([torch.from_numpy(batch.targets) for batch in batches])
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=config.train.batch, shuffle=True)

    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    model = Network(config).to(device)
    loss_fn = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters())

    def train(steps: int) -> float:
        model.train()
        for x, y in islice(loader, steps):
            x, y = x.to(device), y.to(device)
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        if device.type != "cpu":
            torch.accelerator.synchronize()
        return loss.item()

    return train
