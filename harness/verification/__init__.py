"""Proof that the implementations are one model: cases, what a backend makes of them, and the comparison."""
