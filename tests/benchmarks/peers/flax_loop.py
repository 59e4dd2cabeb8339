"""JAX as the flax guide has it: an nnx Module, an nnx Optimizer over optax and a jitted training step."""

from __future__ import annotations

from collections.abc import Callable

import jax
import optax
from flax import nnx

from harness.task.recipe import RunConfig


class Network(nnx.Module):
    def __init__(self, config: RunConfig, rngs: nnx.Rngs) -> None:
        sizes = [config.task.input_channels, *[config.model.hidden] * config.model.layers]
        cells = [nnx.OptimizedLSTMCell(size, config.model.hidden, rngs=rngs) for size in sizes[:-1]]
        self.layers = nnx.List([nnx.RNN(cell) for cell in cells])
        self.output = nnx.Linear(config.model.hidden, config.task.bits, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return self.output(x)


@nnx.jit
def train_step(model: Network, optimizer: nnx.Optimizer, x: jax.Array, y: jax.Array) -> jax.Array:
    def loss_fn(model: Network) -> jax.Array:
        return optax.sigmoid_binary_cross_entropy(model(x), y).mean()

    loss, gradients = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, gradients)
    return loss


def prepare(config: RunConfig, n_steps: int) -> Callable[[int], float]:
    """A call is the training loop over that many batches; returns the last loss, nats."""
    batches = [config.task.batch(seed=0, step=step, size=config.train.batch) for step in range(n_steps)]
    model = Network(config, nnx.Rngs(0))
    # optax.adam has no default learning rate; this is that of the other two libraries.
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    def train(steps: int) -> float:
        for batch in batches[:steps]:
            loss = train_step(model, optimizer, batch.inputs, batch.targets)
        jax.block_until_ready(nnx.state(model))
        return float(loss)

    return train
