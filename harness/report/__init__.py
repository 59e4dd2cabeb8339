"""A run's numbers -> tables, figures, sentences, Markdown, the page, the terminal and other tools' formats.

May import `analysis` and below, and not `processes`. Computes no number that `analysis` has.

write_report(folder) makes tables/, plots/, report.md and report.html anew. It is analyse_folder(folder), which
raises ValueError, in one line, for a folder that is not a run's, and then write_analysis(analysis, folder).
print_summary(analysis, console) shows the summary in a terminal; summary_rows(analysis) is the summary table as plain
rows.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.report.tables import summary_rows
    from harness.report.terminal import print_summary
    from harness.report.write import analyse_folder, write_analysis, write_report

__all__ = ["analyse_folder", "print_summary", "summary_rows", "write_analysis", "write_report"]

# Where each is. It is imported when it is asked for: commands that format a number need no pandas and no Matplotlib.
MODULES = {"print_summary": "terminal", "summary_rows": "tables"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES.get(name, 'write')}"), name)
