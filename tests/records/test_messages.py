from __future__ import annotations

import io
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cells.evaluation import ValidationMeasures
from harness.records.messages import (
    MAXIMUM_HEADER_BYTES,
    Done,
    Failed,
    Progress,
    ProtocolError,
    encode,
    read_message,
    write_message,
)
from harness.records.structs import Chunks, Validated
from harness.task.recipe import CALL_BYTES, EVALUATION_BYTES, MOST_HISTORY_BYTES, STEP_BYTES


def test_messages_come_back_as_they_were_written() -> None:
    stream = io.BytesIO()
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.array(2.5), "empty": np.zeros((0, 4))}
    failed, progress = Failed("diverged", "a\nb"), Progress(3, 0.5, 10.0)
    write_message(stream, failed, arrays)
    write_message(stream, progress)
    stream.seek(0)
    first, second = read_message(stream), read_message(stream)
    assert first is not None
    assert second is not None
    assert first.body == failed
    for name, array in arrays.items():
        np.testing.assert_array_equal(first.arrays[name], array)
        assert first.arrays[name].dtype == array.dtype
    assert (second.body, second.arrays) == (progress, {})
    assert read_message(stream) is None


def test_what_json_cannot_hold_arrives_as_null_or_as_text() -> None:
    told = {"memory": float("nan"), "rates": [float("-inf"), np.float32(0.5)], "steps": np.int64(3), "path": Path("a")}
    assert json.loads(encode(told)) == {"memory": None, "rates": [None, 0.5], "steps": 3, "path": "a"}


def test_an_array_that_no_message_can_carry_is_refused_before_anything_is_written() -> None:
    stream = io.BytesIO()
    with pytest.raises(ValueError, match="a is an array of float16"):
        write_message(stream, Done(), {"a": np.zeros(3, np.float16)})
    assert stream.getvalue() == b""


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"[]\n",
        b"{}\n",
        b'{"body": {"kind": "done"}, "arrays": [["a", "float32", [3]]]}\n12',
        b'{"body": {"kind": "done"}, "arrays": [["a", "object", [3]]]}\n',
        b'{"body": {"kind": "done"}, "arrays": [["a", "float64", [-1]]]}\n',
        b'{"body": {"kind": "done"}, "arrays": [["a", "float64", [4294967296]]]}\n',
        b'{"body": 3, "arrays": []}\n',
        b'{"body": {"kind": "wish"}, "arrays": []}\n',
        b'{"body": {"kind": "progress", "step": "3", "loss": 0.5, "sequences_per_s": 1.0}, "arrays": []}\n',
        b'{"body": {"kind": "trained", "record": ' + 5000 * b"[" + b"\n",
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="malformed"):
        read_message(io.BytesIO(line))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(content: bytes) -> None:
    stream = io.BytesIO(content)
    try:
        while read_message(stream) is not None:
            pass
    except ProtocolError as error:
        assert str(error)


def test_what_a_configuration_may_leave_fits_into_a_message() -> None:
    """The bounds of harness/task/recipe.py hold for the longest numbers."""
    number, count, n = 1.7976931348623157e-308, 10**9, 1000

    def size_bytes(content: object) -> float:
        return len(encode(content)) / n

    measured = dict.fromkeys(("elapsed_s", *(field.name for field in fields(ValidationMeasures))), number)
    validated = Validated(step=count, sequences=count, **measured)
    columns = [count, number, number, number, False, count, number, False, number]
    assert size_bytes([-number] * n) <= STEP_BYTES
    assert size_bytes(Chunks(*([value] * n for value in columns))) <= CALL_BYTES
    assert size_bytes([validated] * n) <= EVALUATION_BYTES
    # And a little for all else, such as what was drawn.
    assert MOST_HISTORY_BYTES + 2**22 <= MAXIMUM_HEADER_BYTES
