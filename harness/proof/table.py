"""The worst deviations of one implementation, as a table of at most 80 columns and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.table import Table

from harness.proof.comparison import Deviation, worst
from harness.proof.tolerances import REASON_AFTER_100_STEPS
from harness.records.structs import WorstError

LEGEND = (
    "Cases: 3L has 3 layers; wired is the wiring inferred for Graves' network;\n"
    "rmsprop-in-0 has epsilon inside the root and v from 0;\n"
    "the last word is how gradients are clipped. Errors: ||a - b|| / ||b|| of the\n"
    "worst tensor, with b the reference's in float64.\n"
    f"{REASON_AFTER_100_STEPS}"
)


def make_table(deviations: Iterable[Deviation]) -> Table:
    table = Table("quantity", "precision", "error", "tolerance", "", "worst tensor, and its case", box=None)
    for deviation in worst(deviations):
        verdict = "[green]ok[/]" if deviation.within else "[bold red]FAIL[/]"
        where = "\n".join(filter(None, (deviation.tensor, deviation.case, deviation.problem)))
        tolerance = f"{deviation.tolerance:.0e}"
        table.add_row(deviation.quantity, deviation.precision, f"{deviation.error:.1e}", tolerance, verdict, where)
    return table


def make_rows(deviations: Iterable[Deviation]) -> list[WorstError]:
    """The table's rows for a file; an infinite error is None and has a problem."""
    return [
        WorstError(
            quantity=deviation.quantity,
            precision=deviation.precision,
            error=deviation.error if math.isfinite(deviation.error) else None,
            tolerance=deviation.tolerance,
            tensor=deviation.tensor,
            case=deviation.case,
            problem=deviation.problem,
            within=deviation.within,
        )
        for deviation in worst(deviations)
    ]
