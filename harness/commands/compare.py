"""The command `compare`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.analysis.compare.comparison import make_comparison, to_document
from harness.commands.output import make_console, print_json, warn_of_writers
from harness.report.compare.gate import find_failures, parse_limit
from harness.report.compare.sentences import describe
from harness.report.compare.show import print_comparison, write_comparison


def compare(folders: tuple[Path, ...], limit: str | None, out: Path | None, *, as_json: bool) -> int:
    """0, or 1 where --fail-if-slower finds something; raises ConfigurationError for what cannot be compared."""
    most = parse_limit(limit)
    comparison = make_comparison(list(folders))
    warn_of_writers(*folders)
    if most is not None:
        comparison = replace(comparison, limit=most, failures=find_failures(comparison, most))
    sentences = describe(comparison)
    if out:
        write_comparison(comparison, sentences, out)
    if as_json:
        print_json(to_document(comparison, sentences))
    else:
        print_comparison(comparison, sentences, make_console())
    return 0 if comparison.went_well else 1
