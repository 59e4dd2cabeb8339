"""The copy network as fast as JAX goes on a CPU: a hand-written backward pass, K steps in one dispatch, split batches.

Five things make the difference (figures in docs/tuning.md): the input projection of all time steps is one product; the
forward scan leaves the very factors that the backward scan multiplies with; that scan yields the pre-activations'
gradients alone, and the weights' gradients are products after it; a chunk's K optimiser steps are one scan in one call,
with its buffers donated; and a large batch is split over the processors, which meet once a step instead of at every
product.

On a GPU, in float32, cuDNN's LSTM (cudnn.py) stands beside that scan, and a short trial chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from backends.contract import (
    PRECISIONS,
    Array,
    Batch,
    Chunk,
    Group,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    State,
    Way,
    check_precision,
)
from backends.jax import cudnn
from backends.jax.device import (
    BY_CUDNN,
    BY_SCAN,
    device_settings,
    peak_memory_bytes,
    possible_ways,
    product_dtype,
    resolve_device,
    resolve_dtype,
)
from backends.jax.group import BATCH, average, join, make_mesh, mean_over_ranks, place_whole
from backends.jax.optimizer import build_optimizer, find_averages, replace_averages
from backends.jax.processors import count_processors, count_shares
from backends.jax.trial import Trial, find_fastest
from backends.state import pack_state, unpack_state

SPLIT, WHOLE = PartitionSpec(None, BATCH), PartitionSpec()
# The batch of a trial between two ways.
TRIAL_ROWS, TRIAL_TIME_STEPS = 64, 32


class LayerTrace(NamedTuple):
    """What a layer's forward pass leaves for the backward pass, each (time, batch, H): its output h, the forget gate
    f, and the derivatives of the cell and of the output by the pre-activations i, f, g, o and of h by the cell."""

    h: jax.Array
    f: jax.Array
    dc_by_i: jax.Array
    dc_by_f: jax.Array
    dc_by_g: jax.Array
    dh_by_o: jax.Array
    dh_by_c: jax.Array


def product(dtype: Any, left: jax.Array, right: jax.Array) -> jax.Array:
    """left @ right with the factors rounded to dtype, summed in at least float32."""
    return jnp.matmul(
        left.astype(dtype), right.astype(dtype), preferred_element_type=jnp.promote_types(dtype, jnp.float32)
    )


def gradient_product(dtype: Any, inputs: jax.Array, dz: jax.Array) -> jax.Array:
    """The gradient (in, 4H) of a kernel from its inputs (time, batch, in) and dz (time, batch, 4H), both rounded."""
    # Summing over both axes: XLA has no bfloat16 kernel for the same product of flattened matrices.
    axes = ((0, 1), (0, 1)), ((), ())
    return jax.lax.dot_general(
        inputs.astype(dtype), dz.astype(dtype), axes, preferred_element_type=jnp.promote_types(dtype, jnp.float32)
    )


def layer_forward(
    dtype: Any,
    inputs: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    start: tuple[jax.Array, jax.Array],
) -> LayerTrace:
    """inputs (time, batch, in) -> the layer's trace, from h and c (batch, H) before the first time step. Its h has the
    dtype of products."""
    projected = product(dtype, inputs, kernel)
    rounded_kernel = recurrent_kernel.astype(dtype)

    def step(carry: tuple[jax.Array, jax.Array], z: jax.Array) -> tuple[Any, LayerTrace]:
        h, c = carry
        i, f, g, o = jnp.split(z + bias + product(dtype, h, rounded_kernel), 4, axis=-1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        next_c = f * c + i * g
        tanh_c = jnp.tanh(next_c)
        h = (o * tanh_c).astype(dtype)
        of_c = (g * i * (1 - i), c * f * (1 - f), i * (1 - g * g))
        return (h, next_c), LayerTrace(h, f, *of_c, tanh_c * o * (1 - o), o * (1 - tanh_c * tanh_c))

    h, c = start
    _, trace = jax.lax.scan(step, (h.astype(dtype), c), projected)
    return trace


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def lstm_layer(
    dtype: Any,
    inputs: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    start: tuple[jax.Array, jax.Array],
) -> jax.Array:
    """inputs (time, batch, in) -> h (time, batch, H), from h and c (batch, H) before the first time step."""
    return layer_forward(dtype, inputs, kernel, recurrent_kernel, bias, start).h


def lstm_layer_forward(
    dtype: Any,
    inputs: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    start: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, Any]:
    trace = layer_forward(dtype, inputs, kernel, recurrent_kernel, bias, start)
    return trace.h, (trace, inputs, kernel, recurrent_kernel, start[0])


def lstm_layer_backward(dtype: Any, residuals: Any, dh_out: jax.Array) -> tuple[Any, ...]:
    trace, inputs, kernel, recurrent_kernel, h_start = residuals
    transposed = recurrent_kernel.T.astype(dtype)

    def step(carry: tuple[jax.Array, jax.Array], at_t: tuple[jax.Array, LayerTrace]) -> tuple[Any, jax.Array]:
        dh, dc = carry
        dh_out, trace = at_t
        dh = dh + dh_out
        dc = dc + dh * trace.dh_by_c
        dz = [dc * trace.dc_by_i, dc * trace.dc_by_f, dc * trace.dc_by_g, dh * trace.dh_by_o]
        dz = jnp.concatenate(dz, axis=-1).astype(dtype)
        return (product(dtype, dz, transposed), dc * trace.f), dz

    zeros = jnp.zeros_like(trace.f[0])
    dstart, dz = jax.lax.scan(step, (zeros, zeros), (dh_out, trace), reverse=True)
    dkernel = gradient_product(dtype, inputs, dz)
    drecurrent_kernel = gradient_product(dtype, _previous(trace.h, h_start), dz)
    dinputs = product(dtype, dz, kernel.T).astype(inputs.dtype)
    return dinputs, dkernel, drecurrent_kernel, dz.sum(axis=(0, 1), dtype=kernel.dtype), dstart


lstm_layer.defvjp(lstm_layer_forward, lstm_layer_backward)


def _previous(states: jax.Array, start: jax.Array) -> jax.Array:
    """The state before each time step: the first one's, then all but the last."""
    return jnp.concatenate([start[None].astype(states.dtype), states[:-1]])


def initial_state(model: ModelSpec, parameters: Any, layer: int, batch: int) -> tuple[jax.Array, jax.Array]:
    """h and c (batch, H) of a layer before the first time step."""
    shape, dtype = (batch, model.hidden), parameters["output.bias"].dtype
    if not model.learned_initial_state:
        return jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)
    h, c = (parameters[f"lstm.{layer}.{name}"] for name in ("initial_h", "initial_c"))
    return jnp.broadcast_to(h, shape), jnp.broadcast_to(c, shape)


def logits(model: ModelSpec, dtype: Any, parameters: Any, inputs: jax.Array) -> jax.Array:
    """inputs (batch, time, in) -> logits (batch, time, outputs); inside, time comes first."""
    inputs = hidden = inputs.swapaxes(0, 1)
    outputs = []
    for layer in range(model.layers):
        if layer and model.input_to_every_layer:
            hidden = jnp.concatenate([hidden, inputs], axis=-1)
        kernels = (parameters[f"lstm.{layer}.{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        hidden = lstm_layer(dtype, hidden, *kernels, initial_state(model, parameters, layer, inputs.shape[1]))
        outputs.append(hidden)
    read = jnp.concatenate(outputs, axis=-1) if model.every_layer_to_output else hidden
    return (product(dtype, read, parameters["output.kernel"]) + parameters["output.bias"]).swapaxes(0, 1)


class Network(NamedTuple):
    """The network and the way that computes it, which its compiled functions are compiled for."""

    logits: Callable[[ModelSpec, Any, Any, jax.Array], jax.Array]
    model: ModelSpec
    dtype: Any

    def __call__(self, parameters: Any, inputs: jax.Array) -> jax.Array:
        return self.logits(self.model, self.dtype, parameters, inputs)


WAYS = {BY_SCAN: logits, BY_CUDNN: cudnn.logits}


def mean_loss(network: Network, parameters: Any, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    return optax.sigmoid_binary_cross_entropy(network(parameters, inputs), targets).mean()


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def train_steps(
    mesh: Mesh,
    network: Network,
    optimizer: optax.GradientTransformationExtraArgs,
    parameters: Any,
    state: optax.OptState,
    inputs: jax.Array,
    targets: jax.Array,
    learning_rates: jax.Array,
) -> tuple[Any, optax.OptState, jax.Array]:
    """K optimiser steps on inputs (K, batch, time, in): the parameters and state after them, the K losses.

    Each device of the mesh computes the gradients of its rows, and the same update from their mean.
    """
    mean = mean_over_ranks if mesh.is_multi_process else partial(jax.lax.pmean, axis_name=BATCH)

    def step(carry: tuple[Any, optax.OptState], batch: Any) -> tuple[Any, jax.Array]:
        parameters, state = carry
        inputs, targets, learning_rate = batch
        loss, gradients = jax.value_and_grad(mean_loss, argnums=1)(network, parameters, inputs, targets)
        loss, gradients = mean((loss, gradients))
        updates, state = optimizer.update(gradients, state, parameters, learning_rate=learning_rate)
        return (optax.apply_updates(parameters, updates), state), loss

    def steps(parameters: Any, state: Any, *batches: jax.Array) -> tuple[Any, Any, jax.Array]:
        (parameters, state), losses = jax.lax.scan(step, (parameters, state), batches)
        return parameters, state, losses

    specs = {"in_specs": (WHOLE, WHOLE, SPLIT, SPLIT, WHOLE), "out_specs": WHOLE, "check_vma": False}
    return jax.shard_map(steps, mesh=mesh, **specs)(parameters, state, inputs, targets, learning_rates)


loss_and_gradients = jax.jit(jax.value_and_grad(mean_loss, argnums=1), static_argnums=0)


@partial(jax.jit, static_argnums=0)
def probabilities(network: Network, parameters: Any, inputs: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(network(parameters, inputs))


@cache
def choose_network(ways: tuple[Way, ...], model: ModelSpec, dtype: Any, device: jax.Device) -> tuple[Network, Trial]:
    """The network by the fastest way, which is found once in a process, so that all its trainers go the same."""
    networks = {way: Network(WAYS[way], model, dtype) for way in ways}
    trial = find_fastest({way: partial(take_gradients, network, device) for way, network in networks.items()})
    return networks[trial.way], trial


def take_gradients(network: Network, device: jax.Device) -> None:
    """Compute the loss and gradients of a batch and return when they are there."""
    jax.block_until_ready(loss_and_gradients(network, *zero_batch(network.model, device)))


@cache
def zero_batch(model: ModelSpec, device: jax.Device) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
    """Parameters, inputs and targets of zeros, made once: what is timed is the network alone."""
    inputs, targets = (np.zeros((TRIAL_ROWS, TRIAL_TIME_STEPS, n), np.float32) for n in (model.inputs, model.outputs))
    parameters = {name: np.zeros(shape, np.float32) for name, shape in model.shapes().items()}
    return jax.device_put((parameters, inputs, targets), device)


class TunedJaxTrainer:
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
        self.dtype, self.product_dtype = resolve_dtype(precision, self.device), product_dtype(precision)
        self.spec, self.optimizer_spec = model, optimizer
        self.network, self.trial = choose_network(
            self._possible_ways(device, precision), model, self.product_dtype, self.device
        )
        self.optimizer = build_optimizer(optimizer)
        self.arrays = {name: self._tensor(array) for name, array in parameters.items()}
        self.averages = jax.device_put(self.optimizer.init(self.arrays), self.device)
        self.steps = 0

    def train(self, chunk: Chunk) -> Array:
        mesh = self._mesh(chunk.inputs.shape[1])
        whole, split = NamedSharding(mesh, WHOLE), NamedSharding(mesh, SPLIT)
        carry = place_whole((self.arrays, self.averages), whole)
        batches = [self._rows(array, split) for array in (chunk.inputs, chunk.targets)]
        rates = place_whole(np.asarray(chunk.learning_rates, self.dtype), whole)
        result = train_steps(mesh, self.network, self.optimizer, *carry, *batches, rates)
        self.arrays, self.averages, losses = jax.block_until_ready(result)
        self.steps += len(losses)
        return np.asarray(losses)

    def predict(self, inputs: Array) -> Array:
        return np.asarray(probabilities(self.network, self._arrays(), self._tensor(inputs)))

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        tensors = self._tensor(batch.inputs), self._tensor(batch.targets)
        loss, gradients = loss_and_gradients(self.network, self._arrays(), *tensors)
        loss, gradients = average((loss, gradients), self.group)
        return float(loss), gradients

    def parameters(self) -> Parameters:
        return {name: np.array(array) for name, array in self.arrays.items()}

    def state(self) -> State:
        m, v = find_averages(self.optimizer_spec, self.averages)
        # A compiled step returns dictionaries in alphabetical order.
        slots = ({name: np.array(slot[name]) for name in self.spec.shapes()} for slot in (self.arrays, m, v))
        return pack_state(*slots, self.steps)

    def restore(self, state: State) -> None:
        given = unpack_state(self.spec, state)
        self.arrays, m, v = (
            {name: self._tensor(array) for name, array in slot.items()} for slot in (given.parameters, given.m, given.v)
        )
        averages = replace_averages(self.optimizer_spec, self.averages, m, v, given.steps)
        self.averages, self.steps = jax.device_put(averages, self.device), given.steps

    def exchange(self) -> None:
        average(np.zeros(self.spec.n_parameters(), self.dtype), self.group)

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {
            **device_settings(self.device),
            **self.trial.way._asdict(),
            **({"lstm_trial": self.trial.said} if self.trial.said else {}),
            "products": self.product_dtype.name,
            "processors_to_split_batches_over": count_processors(self.device),
        }

    def _possible_ways(self, device: str, precision: str) -> tuple[Way, ...]:
        return possible_ways(device, precision, self.group)

    def _mesh(self, rows: int) -> Mesh:
        """A rank's rows are split over its processors where they are worth it."""
        n_devices = count_shares(rows, self.device)
        if self.group is not None:
            return make_mesh(self.group, n_devices)
        return Mesh(np.array([self.device] if n_devices == 1 else jax.devices("cpu")[:n_devices]), (BATCH,))

    def _rows(self, array: Array, split: NamedSharding) -> jax.Array:
        rows = np.asarray(array, self.dtype)
        if self.group is not None:
            return jax.make_array_from_process_local_data(split, rows)
        return jax.device_put(rows, split)

    def _arrays(self) -> dict[str, jax.Array]:
        """The parameters on this process' device alone."""
        arrays = self.parameters() if self.group is not None else self.arrays
        return jax.device_put(arrays, self.device)

    def _tensor(self, array: Array) -> jax.Array:
        return jax.device_put(np.asarray(array, self.dtype), self.device)


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> TunedJaxTrainer:
    check_precision("the tuned JAX implementation", precision, PRECISIONS)
    return TunedJaxTrainer(model, optimizer, parameters, device, precision, group)
