"""Several runs' folders -> ratios of their speeds, differences of what they learned and of where they ran.

compare(options) is the command. Reads files only, through harness.report; the process is the sample, as everywhere.
"""

from harness.compare.command import compare

__all__ = ["compare"]
