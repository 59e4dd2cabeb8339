"""The tables against those that the records give now."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.analysis.analysis import Analysis
from harness.commands.check.findings import Findings
from harness.records.fault import Fault, agree
from harness.report import markdown
from harness.report.columns import N_FIXED, TABLES
from harness.report.quantities import count
from harness.report.readable import make_readable
from harness.report.tables import make_tables, to_csv
from harness.report.write import CSV_TABLES, MARKDOWN_TABLES, analyse_folder

MOST_FAULTS = 5

Table = list[list[str]]


def check_tables(folder: Path, findings: Findings) -> Analysis | None:
    """Compare tables/ with what the report would write, value by value. What follows from the records, if anything."""
    try:
        analysis = analyse_folder(folder)
        tables = make_tables(analysis)
        expected = {f"{name}.csv": read_csv(to_csv(tables[name])) for name in CSV_TABLES}
        expected |= {f"{name}.md": _expect_markdown(name, tables[name]) for name in MARKDOWN_TABLES}
    except (ValueError, ArithmeticError, RecursionError) as error:
        findings.add("tables", f"the records give none: {error}")
        return None
    for name, table in expected.items():
        _check_table(folder, name, table, findings)
    return analysis


def _expect_markdown(name: str, frame: pd.DataFrame) -> Table:
    return read_markdown(markdown.render_table(make_readable(name, frame)))


def _check_table(folder: Path, name: str, expected: Table, findings: Findings) -> None:
    file, path = f"tables/{name}", folder / "tables" / name
    stem, _, kind = name.partition(".")
    fixed = TABLES[stem][: N_FIXED.get(stem, 0)] if kind == "csv" else []
    if not path.is_file() or path.is_symlink():
        if fixed and not findings.may_miss(file):
            findings.add(file, f"it is missing; `report {folder}` makes it again")
        elif not fixed:
            findings.remarks.append(f"{file}: today's report makes this table too")
        return
    findings.n_tables += 1
    try:
        read = read_csv if kind == "csv" else read_markdown
        table = read(path.read_text(encoding="utf-8"))
    except (csv.Error, OSError, UnicodeDecodeError) as error:
        findings.add(file, f"it cannot be read: {error}")
        return
    faults = _differences(table, expected, fixed, is_exact=kind == "csv")
    findings.add_all(file, faults[:MOST_FAULTS])
    if len(faults) > MOST_FAULTS:
        findings.add(file, f"and {len(faults) - MOST_FAULTS} more values are not what the records give")
    lacking = [column for column in expected[0] if column not in table[0] and column not in fixed] if table else []
    if lacking:
        findings.remarks.append(f"{file}: today's report has more columns: {', '.join(lacking)}")


def read_csv(text: str) -> Table:
    return list(csv.reader(io.StringIO(text), strict=True))


def read_markdown(text: str) -> Table:
    """The cells of a pipe table, its rule left out. A pipe that is escaped is part of its cell."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return cells[:1] + cells[2:]


def _differences(table: Table, expected: Table, fixed: Sequence[str], *, is_exact: bool) -> list[Fault]:
    """Where values differ, by row (the first below the header is 1) and column."""
    if not table or not expected:
        lines = f"it has {count(len(table), 'line')}, but the records give {len(expected)}"
        return [] if table == expected else [Fault("", lines)]
    header, known = table[0], expected[0]
    faults = [Fault(column, "this column is missing") for column in fixed if column not in header]
    if is_exact:
        faults += [Fault(column, "the records give no such column") for column in header if column not in known]
    if len(table) != len(expected):
        faults.append(Fault("", f"it has {count(len(table) - 1, 'row')}, but the records give {len(expected) - 1}"))
    places = [(column, header.index(column), known.index(column)) for column in known if column in header]
    for number, (row, right) in enumerate(zip(table[1:], expected[1:], strict=False), 1):
        if len(row) != len(header):
            faults.append(
                Fault(f"row {number}", f"it has {count(len(row), 'value')} for {count(len(header), 'column')}")
            )
            continue
        faults += [
            Fault(f"row {number}, {column}", f"it is {row[here]!r}, but the records give {right[there]!r}")
            for column, here, there in places
            if not _same(row[here], right[there])
        ]
    return faults


def _same(left: str, right: str) -> bool:
    """Equal, or numbers that are but for rounding: another processor may add in another order."""
    if left == right:
        return True
    try:
        return agree(float(left), float(right))
    except ValueError:
        return False
