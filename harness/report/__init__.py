"""Results folder -> tables, plots, Markdown and HTML. Reads files only, so it works offline and later.

write_report(folder) makes tables/, plots/, report.md and report.html anew; print_summary(folder, console) shows
the summary in a terminal. Both raise ValueError, in one line, for a folder that is not a run's.
"""

from harness.report.terminal import print_summary
from harness.report.write import write_report

__all__ = ["print_summary", "write_report"]
