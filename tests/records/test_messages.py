from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records.messages import ProtocolError, read_message, write_message


def test_messages_come_back_as_they_were_written() -> None:
    stream = io.BytesIO()
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.array(2.5), "empty": np.zeros((0, 4))}
    write_message(stream, "result", {"status": "ok", "text": "a\nb"}, arrays)
    write_message(stream, "progress", {"step": 3})
    stream.seek(0)
    first, second = read_message(stream), read_message(stream)
    assert first is not None
    assert second is not None
    assert (first.kind, first.body) == ("result", {"status": "ok", "text": "a\nb"})
    for name, array in arrays.items():
        np.testing.assert_array_equal(first.arrays[name], array)
        assert first.arrays[name].dtype == array.dtype
    assert (second.kind, second.body, second.arrays) == ("progress", {"step": 3}, {})
    assert read_message(stream) is None


def test_what_json_cannot_hold_arrives_as_text() -> None:
    stream = io.BytesIO()
    told = {"memory": float("nan"), "rates": [float("-inf"), 0.5], "version": np.float32(1.5)}
    write_message(stream, "result", told)
    stream.seek(0)
    message = read_message(stream)
    assert message is not None
    assert message.body == {"memory": "NaN", "rates": ["-Infinity", 0.5], "version": "1.5"}


def test_an_array_that_no_message_can_carry_is_refused_before_anything_is_written() -> None:
    stream = io.BytesIO()
    with pytest.raises(ValueError, match="a is an array of float16"):
        write_message(stream, "result", {}, {"a": np.zeros(3, np.float16)})
    assert stream.getvalue() == b""


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"[]\n",
        b"{}\n",
        b'{"kind": "result", "body": {}, "arrays": [["a", "float32", [3]]]}\n12',
        b'{"kind": "result", "body": {}, "arrays": [["a", "object", [3]]]}\n',
        b'{"kind": "result", "body": {}, "arrays": [["a", "float64", [-1]]]}\n',
        b'{"kind": "result", "body": {}, "arrays": [["a", "float64", [4294967296]]]}\n',
        b'{"kind": "result", "body": 3, "arrays": []}\n',
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
