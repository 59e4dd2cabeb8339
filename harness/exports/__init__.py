"""A run's folder in the formats of other tools: pytest-benchmark's JSON, pyperf's JSON and TensorBoard's event files.

export(options) is the command. Reads files only, through harness.report; the process is the sample there too.
"""

from harness.exports.command import export

__all__ = ["export"]
