"""Fails while it is imported."""

raise ImportError("libdragons.so.7: cannot open shared object file")
