"""A record with a fault in one field is kept without that field, and what the field held beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.records.fault import Fault
from harness.records.record_faults import NEEDED, record_faults
from harness.records.schema import MAXIMUM_REASON_LENGTH
from harness.records.structs import Measured
from harness.task.recipe import RunConfig


def leave_out_faulty(measured: Mapping[str, Any], config: RunConfig, others: Sequence[Fault] = ()) -> Measured:
    """What a worker measured, as JSON has it, without its faulty fields: `faults` names them, and `faulty` keeps what
    they held.

    A cell that is ok has failed where one of NEEDED is among them, or where there are other faults, of no field.
    """
    record = {name: value for name, value in measured.items() if name not in ("faults", "faulty")}
    faulty, faults, grave = dict[str, Any](), list(others), list(others)
    while True:
        if grave:
            record |= {"status": "failed", "reason": f"a malformed record: {grave[0]}"[:MAXIMUM_REASON_LENGTH]}
        found = record_faults({**record, "faulty": dict.fromkeys(faulty)}, config)
        if not found:
            break
        faults += found
        # What is nested too deeply for its fields to be told apart is one fault, without a name.
        names = [fault.name for fault in found if fault.name] or [*record.keys() - {"status", "reason"}]
        faulty |= {name: record.pop(name, None) for name in names}
        needed = NEEDED if record["status"] == "ok" else ("reason",)
        grave = [fault for fault in found if fault.name in needed]
    kept = msgspec.convert(record, Measured)
    kept.faults, kept.faulty = [str(fault) for fault in faults], faulty
    return kept
