"""The backend computes what the oracle does: a test for each precision, case and quantity."""

from __future__ import annotations

import pytest

from harness.proof.cases import Case, choose_cases
from harness.proof.comparison import compare
from harness.proof.conformance.plugin import Subject
from harness.proof.observation import quantities
from harness.proof.oracle import expect

CHECKS = [
    pytest.param(case, precision, quantity, id=f"{precision}-{case.name}-{quantity.replace(' ', '_')}")
    for precision, cases in choose_cases("all").items()
    for case in cases
    for quantity in quantities(case)
]


@pytest.mark.parametrize(("case", "precision", "quantity"), CHECKS)
def test_a_quantity_is_within_its_tolerance(case: Case, precision: str, quantity: str, subject: Subject) -> None:
    deviations = compare(case.name, precision, subject.observe(case, precision), expect(case))
    excesses = [each.describe() for each in deviations if each.quantity == quantity and not each.within]
    assert not excesses, "\n".join(excesses)
