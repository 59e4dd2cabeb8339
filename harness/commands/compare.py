"""The command `compare`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console

from harness.analysis.compare.comparison import make_comparison, to_document
from harness.report.compare.gate import find_failures, parse_limit
from harness.report.compare.sentences import describe
from harness.report.compare.show import print_comparison, write_comparison


def compare(options: Mapping[str, Any]) -> int:
    """0, or 1 where --fail-if-slower finds something; raises ConfigurationError for what cannot be compared."""
    limit = parse_limit(options["limit"])
    comparison = make_comparison(list(options["folders"]))
    if limit is not None:
        comparison = replace(comparison, limit=limit, failures=find_failures(comparison, limit))
    sentences = describe(comparison)
    if options["out"]:
        write_comparison(comparison, sentences, options["out"])
    if options["as_json"]:
        sys.stdout.write(json.dumps(to_document(comparison, sentences), indent=1, allow_nan=False) + "\n")
    else:
        print_comparison(comparison, sentences, Console())
    return 0 if comparison.went_well else 1
