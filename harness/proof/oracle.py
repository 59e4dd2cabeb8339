"""What the oracle expects of a case: the reference implementation, observed like any other."""

from __future__ import annotations

from functools import cache

from threadpoolctl import threadpool_limits

from backends import reference
from backends.contract import Parameters
from harness.proof.cases import Case
from harness.proof.observation import observe


@cache
def expect(case: Case) -> Parameters:
    """Every array by name, float64; the same for every implementation and precision, so computed once."""
    # The products are small: more threads would wait for each other, and the workers need the processors.
    with threadpool_limits(1, user_api="blas"):
        return observe(reference, case, device="cpu", precision="float64")
