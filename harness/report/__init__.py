"""A run's numbers -> tables, figures, sentences, Markdown, the page, the terminal and other tools' formats.

May import `analysis` and below, and not `processes`. Computes no number that `analysis` has.

write_report(folder) makes tables/, plots/, report.md and report.html anew. It is analyse_folder(folder), which
raises ValueError, in one line, for a folder that is not a run's, and then write_analysis(analysis, folder).
print_summary(analysis, console) shows the summary in a terminal; summary_rows(analysis) is the summary table as plain
rows.
"""

from harness.report.tables import summary_rows
from harness.report.terminal import print_summary
from harness.report.write import analyse_folder, write_analysis, write_report

__all__ = ["analyse_folder", "print_summary", "summary_rows", "write_analysis", "write_report"]
