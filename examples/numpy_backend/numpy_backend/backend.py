"""The copy network in NumPy and float32, with plainly stacked layers.

Like many a framework it keeps its weights in a layout of its own: one matrix a layer, whose rows are the bias, the
kernel and the recurrent kernel. So parameters are packed on their way in and unpacked on their way out.
"""

from __future__ import annotations

import numpy as np

from backends.contract import Array, Batch, Chunk, ModelSpec, OptimizerSpec, Parameters, Setting, State, Unsupported
from backends.state import pack_state, unpack_state

Matrices = list[Array]
# What each time step of a layer leaves for the backward pass.
Trace = list[tuple[Array, ...]]


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> NumpyTrainer:
    """A trainer that starts from `parameters`. Raises Unsupported for all that numpy_backend/__init__.py does not
    declare. It takes no `group`: cells of several ranks are rows that say so."""
    if device not in ("auto", "cpu"):
        raise Unsupported(f"NumPy runs on a CPU, not on {device}")
    if precision != "float32":
        raise Unsupported(f"this backend computes in float32, not in {precision}")
    if model.wiring:
        raise Unsupported(f"this backend stacks its layers plainly, without {', '.join(model.wiring)}")
    return NumpyTrainer(model, optimizer, parameters)


class NumpyTrainer:
    """The matrices of the layers and of the dense layer, with m and v of each as OptimizerSpec defines them."""

    def __init__(self, model: ModelSpec, spec: OptimizerSpec, parameters: Parameters) -> None:
        self.model, self.spec, self.steps = model, spec, 0
        self.weights = pack(model, parameters)
        self.m = [np.zeros_like(w) for w in self.weights]
        self.v = [np.full_like(w, spec.initial_v if spec.kind == "rmsprop" else 0) for w in self.weights]

    def train(self, chunk: Chunk) -> Array:
        losses = []
        for inputs, targets, rate in zip(chunk.inputs, chunk.targets, chunk.learning_rates, strict=True):
            loss, gradients = backpropagate(self.weights, inputs, targets)
            self.steps += 1
            for k, gradient in enumerate(clip(self.spec, gradients)):
                self.m[k], self.v[k], move = update(self.spec, gradient, self.m[k], self.v[k], rate, self.steps)
                self.weights[k] = self.weights[k] - move
            losses.append(loss)
        return np.array(losses, np.float32)

    def predict(self, inputs: Array) -> Array:
        signal = inputs.swapaxes(0, 1)
        for w in self.weights[:-1]:
            signal, _ = run_layer(w, signal)
        return sigmoid(with_one(signal) @ self.weights[-1]).swapaxes(0, 1)

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        loss, gradients = backpropagate(self.weights, batch.inputs, batch.targets)
        return loss, unpack(self.model, gradients)

    def parameters(self) -> Parameters:
        return unpack(self.model, self.weights)

    def state(self) -> State:
        weights, m, v = (unpack(self.model, part) for part in (self.weights, self.m, self.v))
        return pack_state(weights, m, v, self.steps)

    def restore(self, state: State) -> None:
        *arrays, self.steps = unpack_state(self.model, state)
        self.weights, self.m, self.v = (pack(self.model, part) for part in arrays)

    def peak_memory_bytes(self) -> int | None:
        return None

    def settings(self) -> dict[str, Setting]:
        return {"device": "cpu", "library": f"numpy {np.__version__}"}


def pack(model: ModelSpec, parameters: Parameters) -> Matrices:
    """A matrix (1 + in + H, 4H) of each layer and (1 + H, outputs) of the dense layer, copied."""
    parts = ("bias", "kernel", "recurrent_kernel")
    layers = [np.vstack([parameters[f"lstm.{layer}.{part}"] for part in parts]) for layer in range(model.layers)]
    return [*layers, np.vstack([parameters["output.bias"], parameters["output.kernel"]])]


def unpack(model: ModelSpec, matrices: Matrices) -> Parameters:
    """The inverse of pack, copied too."""
    named: Parameters = {}
    for layer, matrix in enumerate(matrices[:-1]):
        named[f"lstm.{layer}.bias"] = matrix[0].copy()
        named[f"lstm.{layer}.kernel"] = matrix[1 : -model.hidden].copy()
        named[f"lstm.{layer}.recurrent_kernel"] = matrix[-model.hidden :].copy()
    return named | {"output.bias": matrices[-1][0].copy(), "output.kernel": matrices[-1][1:].copy()}


def sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def with_one(x: Array) -> Array:
    """A constant 1 before the channels, which the bias row of a matrix is multiplied with."""
    return np.concatenate([np.ones_like(x[..., :1]), x], axis=-1)


def run_layer(w: Array, inputs: Array) -> tuple[Array, Trace]:
    """Outputs (time, batch, H) from inputs (time, batch, in)."""
    h = c = np.zeros((inputs.shape[1], w.shape[1] // 4), w.dtype)
    outputs: list[Array] = []
    trace: Trace = []
    for x in inputs:
        joined = np.concatenate([with_one(x), h], axis=-1)
        i, f, g, o = np.split(joined @ w, 4, axis=-1)
        i, f, g, o, c_before = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o), c
        c = f * c_before + i * g
        h = o * np.tanh(c)
        outputs.append(h)
        trace.append((joined, i, f, g, o, c_before, np.tanh(c)))
    return np.stack(outputs), trace


def run_layer_back(w: Array, doutputs: Array, trace: Trace) -> tuple[Array, Array]:
    """The gradients of the matrix and of the inputs (time, batch, in), from that of the outputs (time, batch, H)."""
    hidden = w.shape[1] // 4
    dw, dinputs, dh, dc = np.zeros_like(w), [], np.zeros_like(doutputs[0]), np.zeros_like(doutputs[0])
    for doutput, (joined, i, f, g, o, c_before, tanh_c) in zip(doutputs[::-1], trace[::-1], strict=True):
        dh = dh + doutput
        dc = dc + dh * o * (1 - tanh_c**2)
        gates = dc * g * i * (1 - i), dc * c_before * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)
        dz = np.concatenate(gates, axis=-1)
        dw += joined.T @ dz
        djoined = dz @ w.T
        dinputs.append(djoined[:, 1:-hidden])
        dh, dc = djoined[:, -hidden:], dc * f
    return dw, np.stack(dinputs[::-1])


def backpropagate(weights: Matrices, inputs: Array, targets: Array) -> tuple[float, Matrices]:
    """The loss and its gradient by each matrix, from inputs and targets (batch, time, channels)."""
    signal, traces = inputs.swapaxes(0, 1), []
    for w in weights[:-1]:
        signal, trace = run_layer(w, signal)
        traces.append(trace)
    last, targets = with_one(signal), targets.swapaxes(0, 1)
    logits = last @ weights[-1]
    loss = np.mean(np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits))))
    dlogits = (sigmoid(logits) - targets) / logits.size
    gradients: Matrices = [np.tensordot(last, dlogits, axes=((0, 1), (0, 1)))]
    dsignal: Array = dlogits @ weights[-1][1:].T
    for w, trace in zip(weights[-2::-1], traces[::-1], strict=True):
        dw, dsignal = run_layer_back(w, dsignal, trace)
        gradients.insert(0, dw)
    return float(loss), gradients


def clip(spec: OptimizerSpec, gradients: Matrices) -> Matrices:
    if spec.clip == "element":
        return [np.clip(g, -spec.clip_value, spec.clip_value) for g in gradients]
    if spec.clip == "norm":
        norm = float(np.sqrt(sum(np.sum(g**2) for g in gradients)))
        return [g * (spec.clip_value / max(norm, spec.clip_value)) for g in gradients]
    return gradients


def update(spec: OptimizerSpec, g: Array, m: Array, v: Array, rate: float, t: int) -> tuple[Array, Array, Array]:
    """The new m and v, and how far the weights move in step t, which counts from 1."""
    if spec.kind == "adam":
        m = spec.beta1 * m + (1 - spec.beta1) * g
        v = spec.beta2 * v + (1 - spec.beta2) * g**2
        m_hat, v_hat = m / (1 - spec.beta1**t), v / (1 - spec.beta2**t)
        return m, v, rate * m_hat / (np.sqrt(v_hat) + spec.epsilon)
    v = spec.decay * v + (1 - spec.decay) * g**2
    root = np.sqrt(v + spec.epsilon) if spec.epsilon_inside_root else np.sqrt(v) + spec.epsilon
    m = spec.momentum * m + rate * g / root
    return m, v, m
