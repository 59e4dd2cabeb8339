"""Messages between the parent and a worker, and how they and arrays are written to a pipe.

The parent writes one request (cells/requests.py) to the worker's standard input and leaves it open: its end tells the
worker that the parent is gone. The worker answers on a pipe of its own, never on stdout. Each is a line of JSON,
followed by the bytes of the arrays that it lists under "arrays" as [name, dtype, shape].
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import msgspec
import numpy as np
from msgspec import Struct

from backends.contract import Array
from harness.records.structs import Chunks, Measured, Product, Settings, Status, Validated

MAXIMUM_HEADER_BYTES = 2**26
MAXIMUM_ARRAYS_BYTES = 2**31
DTYPES = ("float32", "float64", "bool", "int64")

# Name, type and shape of each array.
Layout = list[tuple[str, str, list[int]]]

# A record of which nothing is known.
NOTHING = msgspec.Raw(b"{}")


class ProtocolError(Exception):
    """Bytes that are not a message."""


class Body(Struct, frozen=True, tag_field="kind", tag=str.lower):
    """What a message says."""


class Phase(Body, frozen=True, tag="phase"):
    """A phase (cells/group.py) that the worker has come to."""

    phase: str


class Progress(Body, frozen=True, tag="progress"):
    """How far training is."""

    step: int
    loss: float
    sequences_per_s: float


class HistoryState(Struct, frozen=True, kw_only=True):
    """What training has left behind so far; the fields that a Measured has too are as there."""

    losses: list[float]
    chunks: Chunks
    evaluations: list[Validated]
    target_reached: Validated | None
    resumed_at_steps: list[int]
    data_cpu_s: float
    paused_s: dict[str, float]
    """Seconds between calls, by what they were spent on."""
    pause_s: float
    """Those of them since the last call."""
    elapsed_s: float
    """Seconds since training began."""


class Checkpoint(Body, frozen=True, tag="checkpoint"):
    """What a later process needs to go on; the arrays are the trainer's state."""

    history: HistoryState
    timeline: dict[str, float]
    """Seconds of what a process does once, and of all until now."""


class Observation(Body, frozen=True, tag="observation"):
    """The arrays are what `observe` made of the case."""

    case: str
    precision: str


class Unsupported(Body, frozen=True, tag="unsupported"):
    """What the backend cannot compute, and why."""

    case: str
    precision: str
    reason: str


class Described(Body, frozen=True, tag="described"):
    """The end of Describe."""

    n_parameters: int
    settings: Settings


class Trained(Body, frozen=True, tag="trained"):
    """The end of Train, with its record's status and reason; the arrays are the final parameters."""

    status: Status
    reason: str | None
    record: msgspec.Raw
    """A Measured, not yet looked at."""
    sources: dict[str, str]
    """The digest of each source file that was loaded."""


class Done(Body, frozen=True, tag="done"):
    """The end of Verify, and of Predict, whose arrays are the probabilities by length."""


class Timed(Body, frozen=True, tag="timed"):
    """The end of TimeProducts."""

    samples: list[Product]


class Failed(Body, frozen=True, tag="failed"):
    """The end of any job that failed; of Train with what was measured until then, a Measured not yet looked at."""

    status: Status
    reason: str
    record: msgspec.Raw = NOTHING


AnyBody = Phase | Progress | Checkpoint | Observation | Unsupported | Described | Trained | Done | Timed | Failed
# After one of these nothing comes.
Last = Described | Trained | Done | Timed | Failed


@dataclass(frozen=True)
class Message:
    """body is what it says, arrays what it brings."""

    body: AnyBody
    arrays: dict[str, Array] = field(default_factory=dict)


def encode(content: Any) -> bytes:
    """JSON; a number that is not finite becomes null, and what else JSON cannot hold the text that str gives."""
    return msgspec.json.encode(content, enc_hook=_plain)


def _plain(value: Any) -> Any:
    """NumPy's numbers are those of Python."""
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else str(value)


def tell(record: Measured) -> msgspec.Raw:
    """What was measured as a message carries it: a number that is not finite by its name, so that it is seen to be
    wrong, where null would be one that is not known. Raises TypeError and ValueError for what JSON cannot hold."""
    return msgspec.Raw(encode(_name_infinite(msgspec.to_builtins(record, enc_hook=_plain))))


def _name_infinite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _name_infinite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_name_infinite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else f"{'-' * (content < 0)}Infinity"
    return content


def write_message(stream: BinaryIO, body: AnyBody, arrays: Mapping[str, Array] = {}) -> None:
    """Raises ValueError for an array of none of DTYPES, and what JSON cannot hold, before anything is written."""
    stream.write(frame(body, arrays))
    stream.flush()


def frame(body: Any, arrays: Mapping[str, Array]) -> bytes:
    """A line of JSON and the bytes of the arrays. Raises ValueError."""
    layout, payload = encode_arrays(arrays)
    return encode({"body": body, "arrays": layout}) + b"\n" + payload


def encode_arrays(arrays: Mapping[str, Array]) -> tuple[Layout, bytes]:
    """Their layout, and their bytes one after the other. Raises ValueError."""
    layout = [(name, array.dtype.name, list(array.shape)) for name, array in arrays.items()]
    for name, dtype, _ in layout:
        if dtype not in DTYPES:
            raise ValueError(f"{name} is an array of {dtype}; allowed: {', '.join(DTYPES)}")
    return layout, b"".join(array.tobytes() for array in arrays.values())


class _Header(Struct):
    body: msgspec.Raw
    arrays: Layout


def read_message(stream: BinaryIO) -> Message | None:
    """The next message, or None at the end of the stream. Raises ProtocolError."""
    read = read_frame(stream, AnyBody)
    return None if read is None else Message(*read)


def read_frame(stream: BinaryIO, kind: Any) -> tuple[Any, dict[str, Array]] | None:
    """A body of the kind and its arrays, or None at the end of the stream. Raises ProtocolError."""
    line = stream.readline(MAXIMUM_HEADER_BYTES)
    if not line:
        return None
    try:
        if not line.endswith(b"\n"):
            cut = f"longer than {MAXIMUM_HEADER_BYTES} bytes" if len(line) == MAXIMUM_HEADER_BYTES else "cut off"
            raise ValueError(f"its first line is {cut}")
        header = msgspec.json.decode(line, type=_Header)
        body = msgspec.json.decode(header.body, type=kind)
        return body, read_arrays(stream, header.arrays)
    except (ValueError, RecursionError, MemoryError) as error:
        what = f"{type(error).__name__} {error}"[:200]
        raise ProtocolError(f"the worker sent a malformed message: {what}") from None


def read_arrays(stream: BinaryIO, layout: Layout) -> dict[str, Array]:
    """The arrays of a layout. Raises ValueError."""
    n_bytes = sum(_size_bytes(dtype, shape) for _, dtype, shape in layout)
    if n_bytes > MAXIMUM_ARRAYS_BYTES:
        raise ValueError(f"arrays of {n_bytes} bytes, more than {MAXIMUM_ARRAYS_BYTES}")
    return {name: _read_array(stream, dtype, shape) for name, dtype, shape in layout}


def _size_bytes(dtype: str, shape: list[int]) -> int:
    if dtype not in DTYPES or any(size < 0 for size in shape):
        raise ValueError(f"array of {dtype!r} with shape {shape!r}")
    return math.prod(shape) * np.dtype(dtype).itemsize


def _read_array(stream: BinaryIO, dtype: str, shape: list[int]) -> Array:
    n_bytes = _size_bytes(dtype, shape)
    payload = stream.read(n_bytes)
    if len(payload) < n_bytes:
        raise ValueError(f"array cut off after {len(payload)} of {n_bytes} bytes")
    array: Array = np.frombuffer(payload, dtype).reshape(shape)
    return array
