"""A run's folder in the formats of other tools: pytest-benchmark's JSON, pyperf's JSON and TensorBoard's event files.

export(options) is the command. Reads files only, through harness.report; the process is the sample there too.
"""

from harness.exports.command import export
from harness.exports.tensorboard import Scalars, check_installed

__all__ = ["Scalars", "check_installed", "export"]
