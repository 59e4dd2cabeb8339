"""The oracle: an LSTM training step in NumPy and float64, every gradient written by hand. Read it top to bottom.

The forward pass of each layer walks through time and keeps what it computed; the backward pass walks the same
steps in reverse (backpropagation through time, Werbos 1990, Backpropagation Through Time: What It Does and How
to Do It); the optimiser then moves the parameters. `contract.ModelSpec` and `contract.OptimizerSpec` state the
equations; this module follows them to the letter and is fast only where that costs no clarity.

Names: x input, z pre-activations, i f g o the input gate, forget gate, candidate and output gate, h output,
c cell; `dz` is the gradient of the loss with respect to z, and so on. Inside the layers arrays have time first,
(time, batch, channels), so that one time step is one contiguous block; outside they have batch first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from backends.contract import (
    Array,
    Batch,
    Chunk,
    Group,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    State,
    Unsupported,
)
from backends.state import pack_state, unpack_state

# --- One LSTM layer -------------------------------------------------------------------------------------------


class LayerParameters(NamedTuple):
    """kernel (in, 4H), recurrent_kernel (H, 4H) and bias (4H,) of one layer, gates in the order i, f, g, o."""

    kernel: Array
    recurrent_kernel: Array
    bias: Array


class LayerState(NamedTuple):
    """The output h and the cell c of one layer at one time step, each (batch, H)."""

    h: Array
    c: Array


class CellTrace(NamedTuple):
    """What one time step leaves for the backward pass: its carry and its activations, each (batch, H)."""

    h_previous: Array
    c_previous: Array
    i: Array
    f: Array
    g: Array
    o: Array
    tanh_c: Array


class LayerTrace(NamedTuple):
    """What one layer leaves for the backward pass: inputs (time, batch, in) and a CellTrace for each time step."""

    inputs: Array
    steps: list[CellTrace]


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), elementwise, written with tanh, which never overflows."""
    tanh: Array = np.tanh(0.5 * x)
    return 0.5 * (1.0 + tanh)


def split_gates(z: Array) -> Sequence[Array]:
    """Cut pre-activations (batch, 4H) into those of i, f, g and o, each (batch, H)."""
    return np.split(z, 4, axis=-1)


def join_gates(i: Array, f: Array, g: Array, o: Array) -> Array:
    """Undo `split_gates`: four arrays (batch, H) become one (batch, 4H)."""
    return np.concatenate((i, f, g, o), axis=-1)


def affine(x: Array, kernel: Array, bias: Array) -> Array:
    """x @ kernel + bias at every time step: (time, batch, in), (in, out), (out,) -> (time, batch, out)."""
    # tensordot makes one large product of it, where `@` would make one for each time step.
    return np.tensordot(x, kernel, axes=1) + bias


def affine_backward(dy: Array, x: Array, kernel: Array) -> tuple[Array, Array, Array]:
    """The gradients of `affine` with respect to x, kernel and bias, from that of its result dy (time, batch, out).

    Kernel and bias are used at every time step by every sequence, so theirs are sums over both.
    """
    dx = np.tensordot(dy, kernel.T, axes=1)
    return dx, summed_outer_products(x, dy), dy.sum(axis=(0, 1))


def summed_outer_products(x: Array, dy: Array) -> Array:
    """The gradient (in, out) of a kernel that maps x (time, batch, in) to a result with gradient dy (time, batch, out).

    The sum over time and batch of the outer products of x and dy, as one matrix product.
    """
    return np.tensordot(x, dy, axes=((0, 1), (0, 1)))


def lstm_cell(
    projected: Array, h_previous: Array, c_previous: Array, recurrent_kernel: Array
) -> tuple[Array, Array, CellTrace]:
    """One time step: h and c, each (batch, H), and the trace, from the projected input x @ kernel + bias (batch, 4H).

    Hochreiter and Schmidhuber 1997, Long Short-Term Memory, with the forget gate of Gers, Schmidhuber and
    Cummins 2000, Learning to Forget; no peepholes.
    """
    z = projected + h_previous @ recurrent_kernel
    z_i, z_f, z_g, z_o = split_gates(z)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    c = f * c_previous + i * g
    tanh_c = np.tanh(c)
    h = o * tanh_c
    return h, c, CellTrace(h_previous, c_previous, i, f, g, o, tanh_c)


def lstm_cell_backward(dh: Array, dc: Array, trace: CellTrace) -> tuple[Array, Array]:
    """dz (batch, 4H) and the gradient of c_previous (batch, H), from those of the step's h and c, each (batch, H).

    The chain rule on `lstm_cell` from its last line to its first, with sigmoid' = s (1 - s) and
    tanh' = 1 - tanh^2. The given dc is what the next time step asks of c; h asks for more.
    """
    _, c_previous, i, f, g, o, tanh_c = trace
    do = dh * tanh_c
    dc = dc + dh * o * (1 - tanh_c**2)
    di, df, dg = dc * g, dc * c_previous, dc * i
    dz = join_gates(di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o))
    return dz, dc * f


def lstm_layer_forward(inputs: Array, layer: LayerParameters, start: LayerState) -> tuple[Array, LayerTrace]:
    """The outputs h at every time step, (time, batch, H), and the trace, from inputs (time, batch, in).

    start is the state before the first time step.
    """
    time, batch, _ = inputs.shape
    # The input's share of z does not depend on h, so it is computed for all time steps before the loop.
    projected = affine(inputs, layer.kernel, layer.bias)
    outputs = np.empty((time, batch, len(layer.recurrent_kernel)))
    steps: list[CellTrace] = []
    h, c = start
    for t in range(time):
        h, c, step = lstm_cell(projected[t], h, c, layer.recurrent_kernel)
        outputs[t] = h
        steps.append(step)
    return outputs, LayerTrace(inputs, steps)


def lstm_layer_backward(
    doutputs: Array, trace: LayerTrace, layer: LayerParameters
) -> tuple[Array, LayerParameters, LayerState]:
    """The gradients of the inputs (time, batch, in), of the layer's parameters and of the state before the first time
    step, from doutputs (time, batch, H).

    Backpropagation through time: h is read twice, by what is above (doutputs) and by the next time step
    (through recurrent_kernel), and its gradient is the sum of both. After the last time step nothing reads h or c.
    """
    time, batch, hidden = doutputs.shape
    dz = np.empty((time, batch, 4 * hidden))
    dh: Array = np.zeros((batch, hidden))
    dc: Array = np.zeros((batch, hidden))
    for t in reversed(range(time)):
        dz[t], dc = lstm_cell_backward(doutputs[t] + dh, dc, trace.steps[t])
        dh = dz[t] @ layer.recurrent_kernel.T
    # The parameters' gradients are sums over time that no earlier step waits for. Kept out of the loop they are
    # one large matrix product each, faster than a small product and an addition at every step: more than twice as
    # fast where batches are small.
    dinputs, dkernel, dbias = affine_backward(dz, trace.inputs, layer.kernel)
    h_previous = np.stack([step.h_previous for step in trace.steps])
    dlayer = LayerParameters(dkernel, summed_outer_products(h_previous, dz), dbias)
    return dinputs, dlayer, LayerState(dh, dc)


# --- The network and its loss ---------------------------------------------------------------------------------


class Trace(NamedTuple):
    """What a forward pass leaves for the backward pass: a trace for each layer, and what the dense layer read."""

    layers: list[LayerTrace]
    outputs: Array


def lstm_layer(parameters: Parameters, layer: int) -> LayerParameters:
    """The parameters of one layer, counted from 0."""
    return LayerParameters(*(parameters[f"lstm.{layer}.{field}"] for field in LayerParameters._fields))


def initial_state(model: ModelSpec, parameters: Parameters, layer: int, batch: int) -> LayerState:
    """The state of one layer before the first time step: zeros, or the learned one, the same for every sequence."""
    if not model.learned_initial_state:
        return LayerState(np.zeros((batch, model.hidden)), np.zeros((batch, model.hidden)))
    learned = (parameters[f"lstm.{layer}.initial_{field}"] for field in LayerState._fields)
    return LayerState(*(np.tile(array, (batch, 1)) for array in learned))


def initial_state_backward(model: ModelSpec, dstart: LayerState, layer: int) -> Parameters:
    """The gradients of the learned initial state: sums over the batch, whose sequences all start from it."""
    if not model.learned_initial_state:
        return {}
    return {f"lstm.{layer}.initial_{field}": value.sum(axis=0) for field, value in dstart._asdict().items()}


def layer_input(model: ModelSpec, below: Array, inputs: Array) -> Array:
    """What a layer above the first reads: the outputs `below` it (time, batch, H), and with input_to_every_layer the
    network's inputs (time, batch, in) after them."""
    return np.concatenate((below, inputs), axis=-1) if model.input_to_every_layer else below


def layer_input_backward(model: ModelSpec, dinput: Array) -> Array:
    """The gradient of the outputs below; that of the network's inputs is asked for by nobody."""
    return dinput[..., : model.hidden]


def read_outputs(model: ModelSpec, outputs: list[Array]) -> Array:
    """What the dense layer reads of the layers' outputs, each (time, batch, H): all of them, or the last."""
    return np.concatenate(outputs, axis=-1) if model.every_layer_to_output else outputs[-1]


def read_outputs_backward(model: ModelSpec, dread: Array) -> list[Array]:
    """The gradient (time, batch, H) of each layer's outputs, from that of what the dense layer read."""
    if model.every_layer_to_output:
        return np.split(dread, model.layers, axis=-1)
    return [*[np.zeros_like(dread)] * (model.layers - 1), dread]


def time_first(array: Array) -> Array:
    """Exchange the first two axes: (batch, time, channels) becomes (time, batch, channels), and the reverse."""
    return np.ascontiguousarray(np.swapaxes(array, 0, 1))


def forward(model: ModelSpec, parameters: Parameters, inputs: Array) -> tuple[Array, Trace]:
    """Logits (batch, time, outputs) and the trace, from inputs (batch, time, channels).

    The network's probabilities are the sigmoid of the logits.
    """
    inputs = time_first(inputs.astype(np.float64))
    outputs: list[Array] = []
    traces: list[LayerTrace] = []
    for layer in range(model.layers):
        signal = layer_input(model, outputs[-1], inputs) if layer else inputs
        start = initial_state(model, parameters, layer, inputs.shape[1])
        output, trace = lstm_layer_forward(signal, lstm_layer(parameters, layer), start)
        outputs.append(output)
        traces.append(trace)
    read = read_outputs(model, outputs)
    logits = affine(read, parameters["output.kernel"], parameters["output.bias"])
    return time_first(logits), Trace(traces, read)


def cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    """The loss in nats and its gradient with respect to the logits; all arrays (batch, time, outputs).

    The mean of -(t log p + (1 - t) log(1 - p)) over batch, time and outputs, padding included, with
    p = sigmoid(logits) and soft targets t. Put in terms of the logits y it is max(y, 0) - y t + log(1 + exp(-|y|)),
    which is exact where p rounds to 0 or 1; its derivative is p - t.
    """
    costs = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    return float(np.mean(costs)), (sigmoid(logits) - targets) / logits.size


def backward(model: ModelSpec, parameters: Parameters, trace: Trace, dlogits: Array) -> Parameters:
    """The gradient of every parameter, by canonical name, from that of the logits (batch, time, outputs).

    A layer's outputs may be read twice, by the dense layer and by the layer above: their gradient is the sum of both.
    """
    dread, dkernel, dbias = affine_backward(time_first(dlogits), trace.outputs, parameters["output.kernel"])
    gradients: Parameters = {"output.kernel": dkernel, "output.bias": dbias}
    doutputs = read_outputs_backward(model, dread)
    for layer in reversed(range(model.layers)):
        weights = lstm_layer(parameters, layer)
        dinput, dlayer, dstart = lstm_layer_backward(doutputs[layer], trace.layers[layer], weights)
        if layer:
            doutputs[layer - 1] = doutputs[layer - 1] + layer_input_backward(model, dinput)
        gradients |= {f"lstm.{layer}.{field}": value for field, value in dlayer._asdict().items()}
        gradients |= initial_state_backward(model, dstart, layer)
    return {name: gradients[name] for name in parameters}


def loss(model: ModelSpec, parameters: Parameters, batch: Batch) -> float:
    """The loss of a batch in nats; see `cross_entropy`."""
    logits, _ = forward(model, parameters, batch.inputs)
    return cross_entropy(logits, batch.targets)[0]


def loss_and_gradients(model: ModelSpec, parameters: Parameters, batch: Batch) -> tuple[float, Parameters]:
    """The loss of a batch in nats and its unclipped gradient, by canonical name."""
    logits, trace = forward(model, parameters, batch.inputs)
    value, dlogits = cross_entropy(logits, batch.targets)
    return value, backward(model, parameters, trace, dlogits)


# --- The optimiser --------------------------------------------------------------------------------------------


class OptimizerState(NamedTuple):
    """Steps taken so far, and the running averages m and v of every parameter, by canonical name."""

    steps: int
    m: Parameters
    v: Parameters


def initial_optimizer_state(optimizer: OptimizerSpec, parameters: Parameters) -> OptimizerState:
    """Before the first step: m is 0; v is initial_v for rmsprop and 0 for adam, whose bias correction assumes it."""
    v = optimizer.initial_v if optimizer.kind == "rmsprop" else 0.0
    return OptimizerState(
        steps=0,
        m={name: np.zeros(w.shape) for name, w in parameters.items()},
        v={name: np.full(w.shape, v) for name, w in parameters.items()},
    )


def clip_gradients(optimizer: OptimizerSpec, gradients: Parameters) -> Parameters:
    """The gradients, bounded as `optimizer.clip` says."""
    if optimizer.clip == "element":
        return clip_by_element(gradients, optimizer.clip_value)
    if optimizer.clip == "norm":
        return clip_by_norm(gradients, optimizer.clip_value)
    return gradients


def clip_by_element(gradients: Parameters, bound: float) -> Parameters:
    """Every element bounded to [-bound, bound]: the direction may change."""
    return {name: np.clip(g, -bound, bound) for name, g in gradients.items()}


def clip_by_norm(gradients: Parameters, bound: float) -> Parameters:
    """All gradients times min(1, bound / norm), with norm their joint Euclidean norm: the direction stays.

    Pascanu, Mikolov and Bengio 2013, On the Difficulty of Training Recurrent Neural Networks.
    """
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    scale = bound / np.maximum(norm, bound)  # min(1, bound / norm), but never a division by 0
    return {name: scale * g for name, g in gradients.items()}


def adam_step(
    optimizer: OptimizerSpec, w: Array, g: Array, m: Array, v: Array, *, learning_rate: float, t: int
) -> tuple[Array, Array, Array]:
    """The new w, m and v of one parameter with clipped gradient g, all of one shape; t counts steps from 1.

    Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, algorithm 1: epsilon after bias correction.
    """
    m = optimizer.beta1 * m + (1 - optimizer.beta1) * g
    v = optimizer.beta2 * v + (1 - optimizer.beta2) * g**2
    m_corrected = m / (1 - optimizer.beta1**t)
    v_corrected = v / (1 - optimizer.beta2**t)
    return w - learning_rate * m_corrected / (np.sqrt(v_corrected) + optimizer.epsilon), m, v


def rmsprop_step(
    optimizer: OptimizerSpec, w: Array, g: Array, m: Array, v: Array, *, learning_rate: float
) -> tuple[Array, Array, Array]:
    """The new w, m and v of one parameter with clipped gradient g, all of one shape.

    Tieleman and Hinton 2012, COURSERA: Neural Networks for Machine Learning, lecture 6.5, with momentum. The
    learning rate enters m, so that a change of it acts on later gradients only.
    """
    v = optimizer.decay * v + (1 - optimizer.decay) * g**2
    m = optimizer.momentum * m + learning_rate * g / rmsprop_root(optimizer, v)
    return w - m, m, v


def rmsprop_root(optimizer: OptimizerSpec, v: Array) -> Array:
    """What rmsprop divides the gradient by: sqrt(v + epsilon) or sqrt(v) + epsilon, of v's shape."""
    epsilon = optimizer.epsilon
    root: Array = np.sqrt(v + epsilon) if optimizer.epsilon_inside_root else np.sqrt(v) + epsilon
    return root


def optimizer_step(
    optimizer: OptimizerSpec, parameters: Parameters, gradients: Parameters, state: OptimizerState, learning_rate: float
) -> tuple[Parameters, OptimizerState]:
    """The parameters and the optimiser's state after one step along clipped gradients."""
    t = state.steps + 1
    moved: Parameters = {}
    m: Parameters = {}
    v: Parameters = {}
    for name, w in parameters.items():
        arrays = w, gradients[name], state.m[name], state.v[name]
        if optimizer.kind == "adam":
            step = adam_step(optimizer, *arrays, learning_rate=learning_rate, t=t)
        else:
            step = rmsprop_step(optimizer, *arrays, learning_rate=learning_rate)
        moved[name], m[name], v[name] = step
    return moved, OptimizerState(t, m, v)


def update(
    optimizer: OptimizerSpec, parameters: Parameters, gradients: Parameters, state: OptimizerState, learning_rate: float
) -> tuple[Parameters, OptimizerState]:
    """Clip the gradients, then take one optimiser step; the new parameters and state."""
    return optimizer_step(optimizer, parameters, clip_gradients(optimizer, gradients), state, learning_rate)


# --- The trainer ----------------------------------------------------------------------------------------------


class ReferenceTrainer:
    """The functions above as a `contract.Trainer`. Arithmetic and every array returned are float64."""

    def __init__(self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters) -> None:
        self._model = model
        self._optimizer = optimizer
        self._parameters = _float64({name: parameters[name] for name in model.shapes()})
        self._state = initial_optimizer_state(optimizer, self._parameters)

    def train(self, chunk: Chunk) -> Array:
        """Take K optimiser steps; return the K losses (K,) in nats, each from before its step."""
        losses = np.empty(len(chunk.inputs))
        for k, learning_rate in enumerate(chunk.learning_rates):
            losses[k], gradients = self.loss_and_gradients(Batch(chunk.inputs[k], chunk.targets[k]))
            self._parameters, self._state = update(
                self._optimizer, self._parameters, gradients, self._state, float(learning_rate)
            )
        return losses

    def predict(self, inputs: Array) -> Array:
        """Probabilities (batch, time, outputs) for inputs (batch, time, channels)."""
        logits, _ = forward(self._model, self._parameters, inputs)
        return sigmoid(logits)

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        """The loss in nats and its unclipped gradient by canonical name; changes nothing."""
        return loss_and_gradients(self._model, self._parameters, batch)

    def parameters(self) -> Parameters:
        """The present parameters by canonical name, copied."""
        return {name: w.copy() for name, w in self._parameters.items()}

    def state(self) -> State:
        """Parameters and the optimiser's state by the names of backends/state.py, float64, copied."""
        steps, m, v = self._state
        return {name: w.copy() for name, w in pack_state(self._parameters, m, v, steps).items()}

    def restore(self, state: State) -> None:
        """Train on from `state`. Raises ValueError where it is not this model's."""
        given = unpack_state(self._model, state)
        self._parameters = _float64(given.parameters)
        self._state = OptimizerState(given.steps, _float64(given.m), _float64(given.v))

    def exchange(self) -> None:
        """Nothing to average: there is one rank."""

    def peak_memory_bytes(self) -> int | None:
        """None: a CPU does not tell."""
        return None

    def settings(self) -> dict[str, Setting]:
        """Device, arithmetic and library."""
        return {"device": "cpu", "arithmetic": "float64", "library": f"numpy {np.__version__}"}


def _float64(arrays: Parameters) -> Parameters:
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def check_supported(device: str, precision: str) -> None:
    """Raise Unsupported for any device but a CPU and any precision that float64 arithmetic cannot stand in for."""
    if device not in ("auto", "cpu"):
        raise Unsupported(f"the reference runs on a CPU only, not on {device}")
    if precision not in ("float32", "float64"):
        raise Unsupported(f"the reference computes in float64 only, not in {precision}")


def check_shapes(model: ModelSpec, parameters: Parameters) -> None:
    """Raise ValueError where names or shapes are not the model's: some wrong shapes would broadcast unnoticed."""
    shapes = {name: w.shape for name, w in parameters.items()}
    if shapes != model.shapes():
        raise ValueError(f"parameters must have the shapes {model.shapes()}, not {shapes}")


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> ReferenceTrainer:
    """A trainer that starts from `parameters`.

    device: "auto" or "cpu". precision: "float64", or "float32", which asks for no less than it gets: arithmetic
    and returned arrays are float64 for both. Raises Unsupported for any other and for a group, and ValueError where
    names or shapes of parameters are not the model's.
    """
    check_supported(device, precision)
    if group is not None:
        raise Unsupported("the reference trains in one process")
    check_shapes(model, parameters)
    return ReferenceTrainer(model, optimizer, parameters)
