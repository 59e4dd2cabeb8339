"""The copy network as a JAX user would write it: flax.nnx.RNN and optax in a jitted training step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

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
from backends.jax.device import device_settings, peak_memory_bytes, resolve_device, resolve_dtype
from backends.jax.group import BATCH, average, join, make_mesh, mean_over_ranks, place_rows, place_whole, whole_sharding
from backends.jax.optimizer import build_optimizer, find_averages
from backends.state import pack_state, unpack_state


class CopyNetwork(nnx.Module):
    """Stacked LSTM layers and a dense layer; returns logits (batch, time, outputs)."""

    def __init__(self, model: ModelSpec, dtype: jnp.dtype) -> None:
        # Every initial value is overwritten; flax only needs a key to make the arrays.
        rngs, dtypes = nnx.Rngs(0), {"dtype": dtype, "param_dtype": dtype}
        self.spec = model
        sizes = [model.layer_inputs(layer) for layer in range(model.layers)]
        cells = [nnx.OptimizedLSTMCell(size, model.hidden, rngs=rngs, **dtypes) for size in sizes]
        self.lstm = nnx.List([nnx.RNN(cell, rngs=False) for cell in cells])
        self.output = nnx.Linear(model.output_inputs(), model.outputs, rngs=rngs, **dtypes)
        starts = range(model.layers if model.learned_initial_state else 0)
        self.initial_h = nnx.List([nnx.Param(jnp.zeros(model.hidden, dtype)) for _ in starts])
        self.initial_c = nnx.List([nnx.Param(jnp.zeros(model.hidden, dtype)) for _ in starts])

    def __call__(self, inputs: jax.Array) -> jax.Array:
        hidden, outputs = inputs, []
        for layer, lstm in enumerate(self.lstm):
            if layer and self.spec.input_to_every_layer:
                hidden = jnp.concatenate([hidden, inputs], axis=-1)
            hidden = lstm(hidden, initial_carry=self._initial_carry(layer, inputs))
            outputs.append(hidden)
        return self.output(jnp.concatenate(outputs, axis=-1) if self.spec.every_layer_to_output else hidden)

    def _initial_carry(self, layer: int, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """c and h of each sequence, in the order of flax's carry."""
        shape = (inputs.shape[0], self.spec.hidden)
        if self.spec.learned_initial_state:
            c, h = self.initial_c[layer][...], self.initial_h[layer][...]
            return jnp.broadcast_to(c, shape), jnp.broadcast_to(h, shape)
        zeros = jnp.zeros(shape, inputs.dtype)
        return zeros, zeros


class JaxTrainer:
    def __init__(
        self,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        parameters: Parameters,
        device: str,
        precision: str,
        group: Group | None,
    ) -> None:
        self.group = join(group)
        self.device = resolve_device(device)
        self.mesh = group and make_mesh(group)
        self.whole = whole_sharding(group, self.device)
        self.dtype = resolve_dtype(precision, self.device)
        self.spec, self.optimizer_spec = model, optimizer
        with jax.default_device(self.device):
            self.network = CopyNetwork(model, self.dtype)
            write_parameters(self.network, parameters)
            self.optimizer = nnx.Optimizer(self.network, build_optimizer(optimizer), wrt=nnx.Param)
        self._commit()

    def train(self, chunk: Chunk) -> Array:
        batches = [[self._rows(batch) for batch in array] for array in (chunk.inputs, chunk.targets)]
        rates = [self._tensor(rate) for rate in chunk.learning_rates]
        steps = zip(*batches, rates, strict=True)
        losses = [train_step(self.mesh, self.network, self.optimizer, *step) for step in steps]
        jax.block_until_ready((losses, nnx.state(self.network)))
        return np.stack([np.asarray(loss) for loss in losses])

    def predict(self, inputs: Array) -> Array:
        return np.asarray(predict(self.network, self._tensor(inputs)))

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        loss, gradients = backpropagate(self.mesh, self.network, self._rows(batch.inputs), self._rows(batch.targets))
        return float(loss), read_parameters(gradients)

    def parameters(self) -> Parameters:
        return read_parameters(self.network)

    def state(self) -> State:
        m, v = find_averages(self.optimizer_spec, self.optimizer.opt_state)
        return pack_state(*map(read_parameters, (self.network, m, v)), int(self.optimizer.step[...]))

    def restore(self, state: State) -> None:
        parameters, m, v, steps = unpack_state(self.spec, state)
        averages = find_averages(self.optimizer_spec, self.optimizer.opt_state)
        for place, arrays in zip((self.network, *averages), (parameters, m, v), strict=True):
            write_parameters(place, arrays)
        self.optimizer.step[...] = jnp.asarray(steps, self.optimizer.step.dtype)
        if self.optimizer_spec.kind == "adam":
            count = optax.tree_utils.tree_get(self.optimizer.opt_state, "count")
            count[...] = jnp.asarray(steps, count.dtype)
        self._commit()

    def exchange(self) -> None:
        average(np.zeros(self.spec.n_parameters(), self.dtype), self.group)

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {**device_settings(self.device), "execution": "nnx.jit", "lstm": "flax.nnx.RNN(OptimizedLSTMCell)"}

    def _commit(self) -> None:
        # Inputs and results are committed to the device; state that were not would have the next step compiled twice.
        state = nnx.state((self.network, self.optimizer))
        nnx.update((self.network, self.optimizer), place_whole(state, self.whole))

    def _tensor(self, array: Array) -> jax.Array:
        return place_whole(array.astype(self.dtype), self.whole)

    def _rows(self, array: Array) -> jax.Array:
        return place_rows(array.astype(self.dtype), self.group, self.device)


@nnx.jit(static_argnums=0)
def train_step(
    mesh: Mesh | None,
    network: CopyNetwork,
    optimizer: nnx.Optimizer,
    inputs: jax.Array,
    targets: jax.Array,
    learning_rate: jax.Array,
) -> jax.Array:
    loss, gradients = loss_and_gradients(mesh, network, inputs, targets)
    optimizer.update(network, gradients, learning_rate=learning_rate)
    return loss


@nnx.jit(static_argnums=0)
def backpropagate(
    mesh: Mesh | None, network: CopyNetwork, inputs: jax.Array, targets: jax.Array
) -> tuple[jax.Array, nnx.State]:
    return loss_and_gradients(mesh, network, inputs, targets)


def loss_and_gradients(
    mesh: Mesh | None, network: CopyNetwork, inputs: jax.Array, targets: jax.Array
) -> tuple[jax.Array, nnx.State]:
    if mesh is None:
        return nnx.value_and_grad(mean_loss)(network, inputs, targets)
    graph, state = nnx.split(network)

    # Left to XLA's partitioner, the kernels' gradients would be exchanged at every time step of the scan.
    def of_rows(state: nnx.State, inputs: jax.Array, targets: jax.Array) -> tuple[jax.Array, nnx.State]:
        return mean_over_ranks(nnx.value_and_grad(mean_loss)(nnx.merge(graph, state), inputs, targets))

    specs = {"in_specs": (PartitionSpec(), PartitionSpec(BATCH), PartitionSpec(BATCH)), "out_specs": PartitionSpec()}
    return jax.shard_map(of_rows, mesh=mesh, check_vma=False, **specs)(state, inputs, targets)


@nnx.jit
def predict(network: CopyNetwork, inputs: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(network(inputs))


def mean_loss(network: CopyNetwork, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    return optax.sigmoid_binary_cross_entropy(network(inputs), targets).mean()


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> JaxTrainer:
    check_precision("the idiomatic JAX implementation", precision, IDIOMATIC_PRECISIONS)
    return JaxTrainer(model, optimizer, parameters, device, precision, group)


def canonical_parameters(network: CopyNetwork | nnx.State) -> dict[str, nnx.Param]:
    """The network's parameters by canonical name. flax's gates are i, f, g, o, its bias on the hidden side."""
    named: dict[str, nnx.Param] = {}
    if isinstance(network, nnx.Module):
        network = nnx.state(network, nnx.Param)
    for layer, lstm in network.lstm.items():
        named[f"lstm.{layer}.kernel"] = lstm.cell.dense_i.kernel
        named[f"lstm.{layer}.recurrent_kernel"] = lstm.cell.dense_h.kernel
        named[f"lstm.{layer}.bias"] = lstm.cell.dense_h.bias
        if "initial_h" in network:
            named[f"lstm.{layer}.initial_h"] = network.initial_h[layer]
            named[f"lstm.{layer}.initial_c"] = network.initial_c[layer]
    named["output.kernel"], named["output.bias"] = network.output.kernel, network.output.bias
    return named


def write_parameters(network: CopyNetwork | nnx.State, parameters: Parameters) -> None:
    for name, parameter in canonical_parameters(network).items():
        parameter[...] = jnp.asarray(parameters[name], parameter.dtype)


def read_parameters(network: CopyNetwork | nnx.State) -> Parameters:
    return {name: np.array(parameter[...]) for name, parameter in canonical_parameters(network).items()}
