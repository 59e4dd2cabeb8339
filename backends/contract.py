"""What a backend receives and what it returns. Imports no framework.

Every array that crosses this boundary is a NumPy array; every constant that changes the mathematics is a
field of a specification below, so that no library's default can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating]
Parameters: TypeAlias = dict[str, Array]
State: TypeAlias = dict[str, NDArray[Any]]
Setting: TypeAlias = str | int | float | bool | None

# tf32 and bfloat16 say how the factors of a product are rounded: parameters, sums and all else stay float32. The stock
# layers, which the idiomatic implementations are made of, either have no such thing or round their states as well.
PRECISIONS = ("float32", "float64", "tf32", "bfloat16")
IDIOMATIC_PRECISIONS = ("float32", "float64", "tf32")
OPTIMIZERS = ("adam", "rmsprop")
CLIPPINGS = ("none", "element", "norm")
WIRINGS = ("input_to_every_layer", "every_layer_to_output", "learned_initial_state")


class Way(NamedTuple):
    """How a tuned implementation trains, as a record's settings have it."""

    execution: str
    lstm: str


class Unsupported(Exception):
    """Something a backend cannot do here. Its text becomes the reason in the report."""


def check_at_least(owner: str, values: Mapping[str, float], bound: float) -> None:
    """Raise ValueError naming the first of `values` that is not a finite number of at least `bound`."""
    for name, value in values.items():
        if not bound <= value < float("inf"):
            raise ValueError(f"{owner}.{name} must be at least {bound:g}, not {value:g}")


def check_choice(owner: str, name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError where `value` is not one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{owner}.{name} must be one of {', '.join(allowed)}, not {value!r}")


def check_precision(whose: str, precision: str, supported: tuple[str, ...]) -> None:
    """Raise Unsupported where `precision` is not one of `supported`."""
    if precision not in supported:
        raise Unsupported(f"{whose} computes in {', '.join(supported)}, not in {precision}")


@dataclass(frozen=True)
class ModelSpec:
    """A stack of LSTM layers and a dense sigmoid layer, one bias per gate.

    Layer l computes, from its input x_t and its previous output h_{t-1} and cell c_{t-1},

        i, f, g, o = split(x_t @ kernel + h_{t-1} @ recurrent_kernel + bias, 4)
        c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
        h_t = sigmoid(o) * tanh(c_t)

    (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; no peepholes.)

    In a plain stack, x_t of the first layer is the network's input, x_t of every other the h_t of the layer below; h
    and c are 0 before the first time step; and the dense layer reads h_t of the last layer, y_t:

        p_t = sigmoid(y_t @ output.kernel + output.bias)

    Three switches, the names in WIRINGS, change what is wired to what; the wiring of Graves 2013, Generating Sequences
    With Recurrent Neural Networks, has the first two:

        input_to_every_layer     x_t of layer l > 0 is concat(h_t of the layer below, the network's input)
        every_layer_to_output    y_t is concat(h_t of layer 0, ..., h_t of the last layer)
        learned_initial_state    h and c before the first time step are the parameters initial_h and initial_c of each
                                 layer, the same for every sequence, trained like the others
    """

    inputs: int
    outputs: int
    hidden: int
    layers: int
    input_to_every_layer: bool = False
    every_layer_to_output: bool = False
    learned_initial_state: bool = False

    def __post_init__(self) -> None:
        sizes = {"inputs": self.inputs, "outputs": self.outputs, "hidden": self.hidden, "layers": self.layers}
        check_at_least("model", sizes, 1)

    @property
    def wiring(self) -> tuple[str, ...]:
        """The switches of WIRINGS that are on; empty for a plain stack."""
        return tuple(name for name in WIRINGS if getattr(self, name))

    def layer_inputs(self, layer: int) -> int:
        """The width of x_t of a layer, counted from 0."""
        if layer == 0:
            return self.inputs
        return self.hidden + (self.inputs if self.input_to_every_layer else 0)

    def output_inputs(self) -> int:
        """The width of y_t, which the dense layer reads."""
        return self.hidden * (self.layers if self.every_layer_to_output else 1)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Canonical parameter names and their shapes; gates lie in the order i, f, g, o along the last axis."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            shapes[f"lstm.{layer}.kernel"] = (self.layer_inputs(layer), 4 * self.hidden)
            shapes[f"lstm.{layer}.recurrent_kernel"] = (self.hidden, 4 * self.hidden)
            shapes[f"lstm.{layer}.bias"] = (4 * self.hidden,)
            if self.learned_initial_state:
                shapes |= {f"lstm.{layer}.initial_h": (self.hidden,), f"lstm.{layer}.initial_c": (self.hidden,)}
        shapes["output.kernel"] = (self.output_inputs(), self.outputs)
        shapes["output.bias"] = (self.outputs,)
        return shapes

    def n_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(shape) for shape in self.shapes().values())


@dataclass(frozen=True)
class OptimizerSpec:
    """One update of a parameter w with clipped gradient g and the step's learning rate lr (t counts from 1).

    adam (Kingma and Ba 2015, epsilon after bias correction):

        m = beta1 m + (1 - beta1) g            v = beta2 v + (1 - beta2) g^2        m, v start at 0
        w -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    rmsprop (Tieleman and Hinton 2012, with momentum; the learning rate is inside the momentum):

        v = decay v + (1 - decay) g^2          v starts at initial_v
        m = momentum m + lr * g / r            m starts at 0
        w -= m                                 r = sqrt(v + epsilon) if epsilon_inside_root else sqrt(v) + epsilon

    clip: "none"; "element" bounds every gradient element to [-clip_value, clip_value]; "norm" multiplies all
    gradients by min(1, clip_value / norm), norm being the Euclidean norm of all of them together.
    """

    kind: str = "adam"
    beta1: float = 0.9
    beta2: float = 0.999
    decay: float = 0.9
    momentum: float = 0.9
    epsilon: float = 1e-8
    epsilon_inside_root: bool = False
    initial_v: float = 0.0
    clip: str = "none"
    clip_value: float = 1.0

    def __post_init__(self) -> None:
        check_choice("optimizer", "kind", self.kind, OPTIMIZERS)
        check_choice("optimizer", "clip", self.clip, CLIPPINGS)
        check_at_least("optimizer", {"epsilon": self.epsilon, "initial_v": self.initial_v}, 0)
        for name in ("beta1", "beta2", "decay", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"optimizer.{name} must be at least 0 and below 1, not {getattr(self, name):g}")
        if not 0 < self.clip_value < float("inf"):
            raise ValueError(f"optimizer.clip_value must be above 0, not {self.clip_value:g}")


@dataclass(frozen=True)
class Batch:
    """inputs (batch, time, channels) and targets (batch, time, outputs), float32."""

    inputs: Array
    targets: Array


@dataclass(frozen=True)
class Chunk:
    """K batches of one shape: inputs (K, batch, time, channels), targets (K, batch, time, outputs) and the
    learning rate of each step (K,), all float32."""

    inputs: Array
    targets: Array
    learning_rates: Array


@dataclass(frozen=True)
class Group:
    """The ranks, a process each, that train one network together, and which of them this process is.

    Of N ranks, rank r is handed rows r B/N to (r + 1) B/N of each global batch of B. The gradients of all ranks are
    averaged, then clipped, so that every rank takes the step that one process would take on the whole batch, and all
    stay alike. addresses: "host:port" of each rank, where it may listen; they meet at the first, within timeout_s.
    """

    rank: int
    addresses: tuple[str, ...]
    timeout_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ValueError(f"the rank must be at least 0 and below {self.size}, not {self.rank}")

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return len(self.addresses)

    def rows(self, batch: int) -> slice:
        """This rank's rows of a global batch. Raises ValueError where the ranks do not divide it."""
        if batch % self.size:
            raise ValueError(f"{self.size} ranks do not divide a batch of {batch}")
        share = batch // self.size
        return slice(self.rank * share, (self.rank + 1) * share)


class Trainer(Protocol):
    """A model with its optimiser on one device, or one rank of a Group of them.

    The loss is the binary cross-entropy in nats against soft targets, the mean over batch, time and outputs:
    -(t log p + (1 - t) log(1 - p)).

    In a group, `train` and `loss_and_gradients` are handed this rank's rows and return what belongs to the global
    batch, the same on every rank; `predict` is handed the same inputs on every rank. All ranks make the same calls in
    the same order.

    Trainers from outside this repository may leave out `state` and `restore`, and cannot be checkpointed then, and
    `exchange`, and cannot be one of a group.
    """

    def train(self, chunk: Chunk) -> Array:
        """Take K optimiser steps; return the K losses before each, once the device has finished."""
        ...

    def predict(self, inputs: Array) -> Array:
        """Probabilities (batch, time, outputs) for inputs (batch, time, channels)."""
        ...

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        """The loss and its unclipped gradient by canonical name; changes nothing."""
        ...

    def parameters(self) -> Parameters:
        """The present parameters by canonical name and in canonical layout, copied."""
        ...

    def state(self) -> State:
        """Everything that training goes on from, copied; the names and layouts are those of backends/state.py.

        A trainer that is restored from it trains on as this one would, to the last bit.
        """
        ...

    def restore(self, state: State) -> None:
        """Take over the state of another trainer of the same ModelSpec and OptimizerSpec.

        Raises ValueError naming what is missing, is too much or has a wrong shape; then nothing has changed.
        """
        ...

    def exchange(self) -> None:
        """Average as many numbers as there are parameters over the ranks, by the way that the gradients take, and
        return once the device has finished; changes nothing. Nothing to do without a group."""
        ...

    def peak_memory_bytes(self) -> int | None:
        """The most device memory held so far; None where the device does not tell (a CPU)."""
        ...

    def settings(self) -> dict[str, Setting]:
        """What is in force: device, threads, TF32, compiled or eager, library kernels."""
        ...


class Implementation(Protocol):
    """What a backend's module offers for one implementation."""

    def build(
        self,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        parameters: Parameters,
        *,
        device: str,
        precision: str,
        group: Group | None = None,
    ) -> Trainer:
        """A trainer that starts from `parameters`.

        device: "auto" (a GPU where there is one), "cpu" or "cuda[:N]". precision: one of PRECISIONS. group: the ranks
        that train together; only given where there are several, so that a backend may leave it out.
        Raises Unsupported for what this backend cannot do.
        """
        ...


class ProductModule(Protocol):
    """What the module that a Backend names as its `product` offers: its ways to multiply, for the machine's ceiling."""

    def name_device(self, device: str) -> str:
        """The device as Trainer.settings() has it, for "auto", "cpu" or "cuda[:N]". Raises Unsupported for one that is
        not there."""
        ...

    def build_products(
        self, left: Array, right: Array, *, device: str, precision: str
    ) -> dict[str, Callable[[], object]]:
        """By a name for a reader, each way to multiply left (m, k) by right (k, n), rounded as the precision says.

        A call returns the product (m, n), an array of the framework's, once the device has finished. Ways that the
        device or the precision does not have are left out; raises Unsupported where it has none.
        """
        ...
