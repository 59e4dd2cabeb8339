"""The backend computes what its Backend declares in `support`, and refuses the rest."""

from __future__ import annotations

import pytest

from backends import DEVICES, Support
from backends.contract import PRECISIONS, WIRINGS, OptimizerSpec, Unsupported
from harness.proof.cases import Case
from harness.proof.comparison import compare
from harness.proof.conformance.plugin import PRECISIONS_OF_HARDWARE, Subject
from harness.proof.observation import observe
from harness.proof.oracle import expect

PLAIN = Case("plain", 2, OptimizerSpec(), gradients=True)


@pytest.fixture
def support(subject: Subject) -> Support:
    if subject.support is None:
        pytest.skip("it declares nothing: `support` of its Backend is where it may")
    return subject.support


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_is_computed_where_it_is_declared(subject: Subject, support: Support, precision: str) -> None:
    if precision not in support.precisions:
        assert_refused(subject, PLAIN, precision)
    elif precision in PRECISIONS_OF_HARDWARE:
        compute_if_machine_can(subject, precision)
    else:
        subject.observe(PLAIN, precision)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_wiring_is_computed_where_it_is_declared(subject: Subject, support: Support, wiring: str) -> None:
    """A declared one is what the oracle makes of it: by itself, where test_equations.py has all of them at once."""
    case, precision = Case(wiring, 2, OptimizerSpec(), gradients=True, wiring=(wiring,)), support.precisions[0]
    if wiring not in support.wirings:
        assert_refused(subject, case, precision)
        return
    deviations = compare(wiring, precision, subject.observe(case, precision), expect(case))
    excesses = [each.describe() for each in deviations if not each.within]
    assert not excesses, "\n".join(excesses)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_is_used_where_it_is_declared(subject: Subject, support: Support, device: str) -> None:
    precision = support.precisions[0]
    if device not in support.devices:
        assert_refused(subject, PLAIN, precision, device)
    elif device == "cuda":
        compute_if_machine_can(subject, precision, device)
    else:
        subject.observe(PLAIN, precision)


def assert_refused(subject: Subject, case: Case, precision: str, device: str = "auto") -> None:
    try:
        observe(subject.implementation, case, device=device, precision=precision)
    except Unsupported:
        return
    what = ", ".join([precision, *case.wiring, device])
    pytest.fail(f"not declared, but computed: {what}. Declare it, or raise Unsupported", pytrace=False)


def compute_if_machine_can(subject: Subject, precision: str, device: str = "auto") -> None:
    try:
        observe(subject.implementation, PLAIN, device=device, precision=precision)
    except Unsupported as reason:
        pytest.skip(f"not on this machine: {reason}")
