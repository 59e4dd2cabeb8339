"""The copy task (Graves, Wayne and Danihelka, Neural Turing Machines, arXiv 1410.5401), and all randomness.

Every batch is random access: it depends on (seed, stream, step) alone, through the counter-based generator
Philox (Salmon et al. 2011) with the key (seed, stream) and a counter that starts at (0, step, length, 0). The
first word counts the blocks drawn, so streams, steps and lengths can never meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backends.contract import Array, ModelSpec, Parameters, check_at_least, check_choice

STREAMS = {"train": 0, "test": 1, "initial": 2, "validation": 3, "lengths": 4}
LENGTHS_PER_BATCH = ("mixed", "one")
PADDINGS = ("full", "trimmed")
LOW, HIGH = np.float32(0.001), np.float32(1.0)
# A word of the generator's key.
LARGEST_SEED = 2**64 - 1
END_FLAG, START_FLAG, FIRST_BIT = 0, 1, 2


@dataclass(frozen=True)
class CopyBatch:
    """inputs (batch, time, bits + 2) and targets (batch, time, bits + idle_outputs), float32; lengths (batch,);
    mask (batch, time), True where the pattern is due."""

    inputs: Array
    targets: Array
    lengths: NDArray[np.int64]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class CopyTask:
    """Show a pattern of L random vectors between a start and an end flag, then ask for it back.

    t = 0 start flag; t = 1..L the pattern; t = L+1 end flag; the pattern is due at t = L+2 .. 2L+1.
    Zeros and padding are 0.001, ones are 1.0, in inputs and in targets. idle_outputs adds that many target channels
    after the bits on which nothing is ever due: 0.001 throughout. They count in the training loss, in no measure.

    How training batches are drawn; held-out ones are always of mixed lengths on all of min_length..max_length and
    padded in full, whatever these say:

    lengths_per_batch: "mixed" draws a length for each sequence, "one" a single length for all of a batch.
    length_power: a length is drawn with a probability in proportion to length ** length_power; 0 is uniform.
    curriculum_steps: the longest length that may be drawn grows from min_length to max_length over that many steps.
    padding: "full" gives every batch the time steps of max_length; "trimmed" those of the longest sequence it may
        hold (its one length, or with mixed lengths the longest the curriculum allows), rounded up to a multiple of
        time_multiple, so that few shapes have to be compiled, but never more than in full.
    padded_share: the share of trimmed batches that are drawn as held-out ones are instead: of mixed lengths, uniform up
        to the longest the curriculum allows, and padded in full. A network that never saw what follows a copy cannot
        know to be silent there, and one that hardly saw a short pattern forgets it.
    steps_per_draw: that many consecutive steps share their one length and their number of time steps, so that they
        fit into one chunk.
    """

    bits: int = 8
    min_length: int = 1
    max_length: int = 20
    idle_outputs: int = 0
    lengths_per_batch: str = "mixed"
    length_power: float = 0.0
    curriculum_steps: int = 0
    padding: str = "full"
    padded_share: float = 0.0
    time_multiple: int = 1
    steps_per_draw: int = 1

    def __post_init__(self) -> None:
        check_at_least("task", {"bits": self.bits, "min_length": self.min_length}, 1)
        check_at_least("task", {"max_length": self.max_length}, self.min_length)
        check_at_least("task", {"idle_outputs": self.idle_outputs}, 0)
        check_choice("task", "lengths_per_batch", self.lengths_per_batch, LENGTHS_PER_BATCH)
        check_choice("task", "padding", self.padding, PADDINGS)
        check_at_least("task", {"length_power": self.length_power}, -10)
        check_at_least("task", {"curriculum_steps": self.curriculum_steps, "padded_share": self.padded_share}, 0)
        check_at_least("task", {"time_multiple": self.time_multiple, "steps_per_draw": self.steps_per_draw}, 1)
        for name, bound in (("length_power", 10), ("padded_share", 1)):
            if getattr(self, name) > bound:
                raise ValueError(f"task.{name} must be at most {bound}, not {getattr(self, name):,.10g}")

    @property
    def input_channels(self) -> int:
        return self.bits + FIRST_BIT

    @property
    def output_channels(self) -> int:
        return self.bits + self.idle_outputs

    @property
    def trains_as_it_tests(self) -> bool:
        """Whether training batches have lengths and padding as held-out ones have, and so the same least loss."""
        return self.padding == "full" and not self.length_power and not self.curriculum_steps

    def bits_of(self, outputs: Array) -> Array:
        """The channels that carry the pattern: targets or probabilities (..., output_channels) -> (..., bits)."""
        return outputs[..., : self.bits]

    @staticmethod
    def time_steps(length: int) -> int:
        """Time steps of a sequence of `length` vectors: both flags, the pattern and its copy."""
        return 2 * length + 2

    def batch(self, *, seed: int, step: int, size: int, stream: str = "train") -> CopyBatch:
        """`size` sequences of the training data, drawn as configured, or of the held-out data of another stream:
        lengths uniform on min_length..max_length, padded to 2 * max_length + 2 steps."""
        generator = _generator(seed, stream, step)
        if stream != "train":
            lengths = self._draw_lengths(generator, size, self.max_length, 0.0)
            return self._compose(generator, lengths, self.time_steps(self.max_length))
        draw = self._draw(seed, step)
        if draw.length is not None:
            lengths = np.full(size, draw.length)
        else:
            lengths = self._draw_lengths(generator, size, draw.longest, draw.power)
        return self._compose(generator, lengths, draw.time_steps)

    def steps_of_one_shape(self, step: int) -> int | None:
        """From `step` on, how many training batches are sure to have as many time steps as its own; None: all."""
        return None if self.padding == "full" else self.steps_per_draw - step % self.steps_per_draw

    def training_time_steps(self, *, seed: int, step: int) -> int:
        """Time steps of the training batch of a step."""
        return self.time_steps(self.max_length) if self.padding == "full" else self._draw(seed, step).time_steps

    def possible_time_steps(self) -> set[int]:
        """Every number of time steps that a training batch may have."""
        in_full = {self.time_steps(self.max_length)}
        if self.padding == "full":
            return in_full
        varies = self.lengths_per_batch == "one" or self.curriculum_steps
        lengths = range(self.min_length if varies else self.max_length, self.max_length + 1)
        return {self._time_steps_at(length) for length in lengths} | (in_full if self.padded_share else set())

    def evaluation_batch(self, *, seed: int, length: int, size: int, step: int = 0) -> CopyBatch:
        """`size` sequences of one length, of any length, from the test stream; 2 * length + 2 steps."""
        generator = _generator(seed, "test", step, length)
        return self._compose(generator, np.full(size, length), self.time_steps(length))

    def _draw(self, seed: int, step: int) -> _Draw:
        """What the steps that share a draw have in common."""
        number = step // self.steps_per_draw
        longest = self._longest_at(number * self.steps_per_draw)
        if (self.lengths_per_batch, self.padding) == ("mixed", "full"):
            return _Draw(longest, None, self.time_steps(self.max_length), self.length_power)
        generator = _generator(seed, "lengths", number)
        if self.padding == "trimmed" and generator.random() < self.padded_share:
            return _Draw(longest, None, self.time_steps(self.max_length), 0.0)
        length = None
        if self.lengths_per_batch == "one":
            length = int(self._draw_lengths(generator, 1, longest, self.length_power)[0])
        return _Draw(longest, length, self._time_steps_at(length or longest), self.length_power)

    def _longest_at(self, step: int) -> int:
        """The longest length that may be drawn, by the curriculum."""
        if step >= self.curriculum_steps:
            return self.max_length
        n_lengths = self.max_length - self.min_length + 1
        return self.min_length + n_lengths * step // self.curriculum_steps

    def _time_steps_at(self, longest: int) -> int:
        in_full = self.time_steps(self.max_length)
        if self.padding == "full":
            return in_full
        n_multiples = -(-self.time_steps(longest) // self.time_multiple)
        return min(n_multiples * self.time_multiple, in_full)

    def _draw_lengths(self, generator: np.random.Generator, size: int, longest: int, power: float) -> NDArray[np.int64]:
        if power == 0:
            return generator.integers(self.min_length, longest, size=size, endpoint=True)
        lengths = np.arange(self.min_length, longest + 1)
        # In shares of the longest, so that no power overflows.
        weights = (lengths / longest) ** power
        return generator.choice(lengths, size=size, p=weights / weights.sum())

    def _compose(self, generator: np.random.Generator, lengths: NDArray[np.int64], steps: int) -> CopyBatch:
        size, longest = len(lengths), (steps - 2) // 2
        position = np.arange(longest)
        shown = position < lengths[:, None]
        pattern = np.where(self._random_bits(generator, size, longest) & shown[:, :, None], HIGH, LOW)

        inputs = np.full((size, steps, self.input_channels), LOW)
        inputs[:, 0, START_FLAG] = HIGH
        inputs[np.arange(size), lengths + 1, END_FLAG] = HIGH
        inputs[:, 1 : longest + 1, FIRST_BIT:] = pattern

        time = np.arange(steps)
        mask = (time >= lengths[:, None] + 2) & (time < 2 * lengths[:, None] + 2)
        targets = np.full((size, steps, self.output_channels), LOW)
        self.bits_of(targets)[mask] = pattern[shown]
        return CopyBatch(inputs, targets, lengths, mask)

    def _random_bits(self, generator: np.random.Generator, size: int, longest: int) -> NDArray[np.bool_]:
        n_bytes = -(-self.bits // 8)
        octets = np.frombuffer(generator.bytes(size * longest * n_bytes), np.uint8)
        unpacked = np.unpackbits(octets.reshape(size, longest, n_bytes), axis=-1, count=self.bits)
        return unpacked.view(np.bool_)


@dataclass(frozen=True)
class _Draw:
    """What training steps share: the longest length that may be drawn, the one length of their batches (None where
    lengths are mixed), their number of time steps and the power that mixed lengths are drawn with."""

    longest: int
    length: int | None
    time_steps: int
    power: float


def initial_parameters(
    model: ModelSpec, seed: int, *, forget_bias: float = 1.0, input_scale: float = 1.0
) -> Parameters:
    """Parameters every backend starts from, float32.

    Glorot uniform over each layer's joint (inputs + hidden, 4 * hidden) matrix, limit sqrt(6 / (rows + columns));
    biases 0, but forget_bias on the forget gates. input_scale multiplies the input kernels of the LSTM layers. A
    learned initial state starts at 0, where it is the plain network's, and takes nothing from the generator.
    """
    generator = _generator(seed, "initial", 0)
    parameters: Parameters = {}
    for name, shape in model.shapes().items():
        if len(shape) == 1:
            parameters[name] = np.zeros(shape, np.float32)
            if name.startswith("lstm") and name.endswith("bias"):
                parameters[name][model.hidden : 2 * model.hidden] = forget_bias
            continue
        rows, columns = shape
        if name.endswith(".recurrent_kernel"):
            rows += model.shapes()[name.replace("recurrent_kernel", "kernel")][0]
        elif name.startswith("lstm"):
            rows += model.hidden
        limit = np.sqrt(6 / (rows + columns))
        scale = input_scale if name.startswith("lstm") and name.endswith(".kernel") else 1.0
        parameters[name] = generator.uniform(-limit * scale, limit * scale, shape).astype(np.float32)
    return parameters


def _generator(seed: int, stream: str, step: int, length: int = 0) -> np.random.Generator:
    key = np.array([seed, STREAMS[stream]], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, step, length, 0], np.uint64)))
