"""Crashes the interpreter while it is imported."""

import os
import sys

print("loading libdragons", file=sys.stderr, flush=True)
os.abort()
