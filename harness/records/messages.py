"""Messages between the parent and a worker.

The parent writes one request, a JSON line and the bytes of the arrays it lists under "arrays", to the worker's
standard input and leaves it open: its end tells the worker that the parent is gone. The worker answers on a pipe of its
own, never on stdout: each message is a line of JSON, which may have NaN and Infinity in it, followed by the bytes of
the arrays its header lists under "arrays" as [name, dtype, shape].
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from backends.contract import Array

MAXIMUM_HEADER_BYTES = 2**26
MAXIMUM_ARRAYS_BYTES = 2**31
DTYPES = ("float32", "float64", "bool", "int64")
KINDS = ("phase", "progress", "checkpoint", "observation", "unsupported", "result", "error")


class ProtocolError(Exception):
    """Bytes that are not a message."""


@dataclass(frozen=True)
class Message:
    """kind is one of KINDS; body is JSON, arrays raw bytes."""

    kind: str
    body: dict[str, Any]
    arrays: dict[str, Array] = field(default_factory=dict)


def write_message(stream: BinaryIO, kind: str, body: Mapping[str, Any], arrays: Mapping[str, Array] = {}) -> None:
    """What JSON cannot hold arrives as text: a number that is not finite by its name, anything else as str gives it.

    Raises ValueError for an array of none of DTYPES, before anything is written.
    """
    layout, payload = encode_arrays(arrays)
    header = {"kind": kind, "body": body, "arrays": layout}
    stream.write(json.dumps(header, default=str).encode() + b"\n")
    stream.write(payload)
    stream.flush()


def encode_arrays(arrays: Mapping[str, Array]) -> tuple[list[list[Any]], bytes]:
    """Their layout as [name, dtype, shape], and their bytes one after the other. Raises ValueError."""
    layout = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    for name, dtype, _ in layout:
        if dtype not in DTYPES:
            raise ValueError(f"{name} is an array of {dtype}; allowed: {', '.join(DTYPES)}")
    return layout, b"".join(array.tobytes() for array in arrays.values())


def read_message(stream: BinaryIO) -> Message | None:
    """The next message, or None at the end of the stream. Raises ProtocolError."""
    line = stream.readline(MAXIMUM_HEADER_BYTES)
    if not line:
        return None
    try:
        header = _read_header(line)
        arrays = read_arrays(stream, header["arrays"])
        return Message(str(header["kind"]), dict(header["body"]), arrays)
    except (ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        what = f"{type(error).__name__} {error}"[:200]
        raise ProtocolError(f"the worker sent a malformed message: {what}") from None


def _read_header(line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        cut = f"longer than {MAXIMUM_HEADER_BYTES} bytes" if len(line) == MAXIMUM_HEADER_BYTES else "cut off"
        raise ValueError(f"its first line is {cut}")
    header: dict[str, Any] = json.loads(line, parse_constant=str)
    if header["kind"] not in KINDS:
        raise ValueError(f"a message of kind {header['kind']!r}")
    return header


def read_arrays(stream: BinaryIO, layout: list[list[Any]]) -> dict[str, Array]:
    """The arrays of a layout. Raises ValueError."""
    n_bytes = sum(_size_bytes(dtype, shape) for _, dtype, shape in layout)
    if n_bytes > MAXIMUM_ARRAYS_BYTES:
        raise ValueError(f"arrays of {n_bytes} bytes, more than {MAXIMUM_ARRAYS_BYTES}")
    return {str(name): _read_array(stream, dtype, shape) for name, dtype, shape in layout}


def _size_bytes(dtype: str, shape: list[int]) -> int:
    if dtype not in DTYPES or any(not isinstance(size, int) or size < 0 for size in shape):
        raise ValueError(f"array of {dtype!r} with shape {shape!r}")
    return math.prod(shape) * np.dtype(dtype).itemsize


def _read_array(stream: BinaryIO, dtype: str, shape: list[int]) -> Array:
    n_bytes = _size_bytes(dtype, shape)
    payload = stream.read(n_bytes)
    if len(payload) < n_bytes:
        raise ValueError(f"array cut off after {len(payload)} of {n_bytes} bytes")
    array: Array = np.frombuffer(payload, dtype).reshape(shape)
    return array
