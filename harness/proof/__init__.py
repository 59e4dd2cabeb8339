"""Proof that the implementations are one model: cases, what a backend makes of them, the oracle, the tolerances.

May import `records`, `task` and `machine`. In: an implementation. Out: how far it is from the NumPy reference.
"""
