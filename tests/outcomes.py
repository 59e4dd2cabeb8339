"""What a worker measured, from how it ended."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.processes.process import Outcome
from harness.records.messages import Failed, Trained, encode
from harness.records.structs import Measured


def measured(outcome: Outcome) -> Measured:
    assert isinstance(outcome.body, Trained | Failed), outcome.reason
    return msgspec.json.decode(outcome.body.record, type=Measured)


def told(outcome: Outcome) -> dict[str, Any]:
    """The same as JSON has it."""
    assert isinstance(outcome.body, Trained)
    content: dict[str, Any] = msgspec.json.decode(outcome.body.record)
    return content


def with_told(outcome: Outcome, content: dict[str, Any]) -> Outcome:
    """The outcome as if the worker had told this."""
    assert isinstance(outcome.body, Trained)
    body = msgspec.structs.replace(outcome.body, record=msgspec.Raw(encode(content)))
    return Outcome(outcome.status, outcome.reason, body, outcome.arrays)
