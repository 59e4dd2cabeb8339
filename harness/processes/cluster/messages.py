"""An outcome as bytes, in the protocol that workers speak: JSON and raw arrays, no pickle of ours."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from harness.processes.process import Outcome
from harness.records.messages import ProtocolError, read_message, write_message


def pack(outcome: Outcome, about: Mapping[str, Any]) -> bytes:
    """The outcome with what the node tells about it."""
    stream = io.BytesIO()
    body = {"status": outcome.status, "reason": outcome.reason, "body": outcome.body, "about": dict(about)}
    write_message(stream, "result", body, outcome.arrays)
    return stream.getvalue()


def unpack(content: bytes) -> tuple[Outcome, dict[str, Any]]:
    """The outcome and what was told about it. Raises ProtocolError for anything but all of it."""
    message = read_message(io.BytesIO(content))
    if message is None or not {"status", "reason", "body", "about"} <= message.body.keys():
        raise ProtocolError("the node sent no outcome")
    body = message.body
    return Outcome(body["status"], body["reason"], body["body"], message.arrays), body["about"]
