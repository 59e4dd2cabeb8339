"""What `run` proved before it timed anything, as a table: the worst error of each quantity, and what is allowed."""

from __future__ import annotations

from harness.records.structs import Run, Verification, WorstError
from harness.report.quantities import flag
from harness.report.readable import Readable


def tabulate_verification(run: Run) -> Readable | None:
    """A row for each implementation and a column for each quantity; None where the run kept nothing of it."""
    items = run.file.verification
    if not items:
        return None
    quantities = list(dict.fromkeys(worst.quantity for item in items for worst in item.worst))
    several = len({item.precision for item in items}) > 1
    named = {"implementation": [_name(item, several=several) for item in items]}
    named |= {"verified": [flag(item.verified) for item in items]}
    errors = {_header(items, quantity): [_find(item, quantity) for item in items] for quantity in quantities}
    columns = named | {header: [_show(worst, header) for worst in found] for header, found in errors.items()}
    reasons = [item.reason or "" for item in items]
    columns |= {"reason": reasons} if any(reasons) else {}
    values = columns | {header: [worst and worst.error for worst in found] for header, found in errors.items()}
    return Readable(
        headers=list(columns),
        rows=[list(row) for row in zip(*columns.values(), strict=True)],
        numeric=[header in errors for header in columns],
        meanings=[],
        values=[list(row) for row in zip(*values.values(), strict=True)],
    )


def _name(item: Verification, *, several: bool) -> str:
    return " ".join([item.backend, item.implementation, *([item.precision] if several else [])])


def _find(item: Verification, quantity: str) -> WorstError | None:
    return next((worst for worst in item.worst if worst.quantity == quantity), None)


def _header(items: list[Verification], quantity: str) -> str:
    """The quantity with what is allowed, where that is the same for all."""
    tolerances = {worst.tolerance for item in items for worst in item.worst if worst.quantity == quantity}
    return f"{quantity} {_most(tolerances.pop())}" if len(tolerances) == 1 else quantity


def _most(tolerance: float) -> str:
    return f"≤ {tolerance:.0e}"


def _show(worst: WorstError | None, header: str) -> str:
    """The error, and what is allowed where the header does not say it."""
    if worst is None:
        return ""
    error = "infinite" if worst.error is None else f"{worst.error:.1e}"
    error += "" if header.endswith(_most(worst.tolerance)) else f" ({_most(worst.tolerance)})"
    if worst.within:
        return error
    return f"{error}, too large{f' in {worst.tensor}' if worst.tensor else ''}"
