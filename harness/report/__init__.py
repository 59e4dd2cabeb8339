"""A run's numbers -> tables, figures, sentences, Markdown, the page, the terminal and other tools' formats.

May import `analysis` and below, and not `processes`. Computes no number that `analysis` has.

write_report(folder) makes tables/, plots/, report.md and report.html anew; print_summary(folder, console) shows
the summary in a terminal; summary_rows(folder) is the summary table as plain rows. All raise ValueError, in one
line, for a folder that is not a run's.
"""

from harness.report.tables import summary_rows
from harness.report.terminal import print_summary
from harness.report.write import write_report

__all__ = ["print_summary", "summary_rows", "write_report"]
