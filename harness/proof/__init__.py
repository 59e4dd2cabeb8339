"""Proof that the implementations are one model: cases, what a backend makes of them, the oracle, the comparison, tolerances.

May import `records`, `task` and `machine`. In: an implementation. Out: its deviations from the NumPy reference in float64.
"""
