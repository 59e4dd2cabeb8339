"""Backends that behave and misbehave, one module each, for the runner's tests."""
