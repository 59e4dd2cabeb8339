import os
import sys
from pathlib import Path

# Python has put the current folder first. A reader's own backend is found there, but nothing in it stands for this
# suite or for what is installed.
if sys.path[0] == os.getcwd() != str(Path(__file__).parents[1]):
    sys.path.append(sys.path.pop(0))

from harness.cli import start

if __name__ == "__main__":
    start("python -m harness")
