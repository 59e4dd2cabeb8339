import os
import sys
from pathlib import Path

# Python has put the current folder first. A reader's own backend is found there, but nothing in it stands for this
# suite or for what is installed.
if (current := os.getcwd()) in sys.path and current != str(Path(__file__).parents[1]):
    sys.path[:] = [*(path for path in sys.path if path != current), current]

from harness.cli import start

if __name__ == "__main__":
    start("python -m harness")
