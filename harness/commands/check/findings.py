"""What a check has found so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from harness.records.fault import Fault
from harness.task.one_line import one_line

# What may be missing where run.json says so: all else is small, or is what is checked.
MAY_BE_LEFT_OUT = ("cells/*.safetensors", "tables/loss.csv")


@dataclass(frozen=True)
class FileFault:
    """A fault and the file it is in, by its path in the run's folder."""

    file: str
    fault: Fault

    def __str__(self) -> str:
        return one_line(f"{self.file}: {self.fault}")


@dataclass
class Findings:
    """Faults make a run invalid; remarks do not."""

    left_out: list[str] = field(default_factory=list)
    faults: list[FileFault] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    n_cells: int = 0
    n_tables: int = 0

    def add(self, file: str, text: str, field: str = "") -> None:
        self.faults.append(FileFault(file, Fault(field, text)))

    def add_all(self, file: str, faults: Iterable[Fault]) -> None:
        self.faults += [FileFault(file, fault) for fault in faults]

    def may_miss(self, file: str) -> bool:
        """Whether the run says that the file was left out."""
        return any(fnmatchcase(file, pattern) for pattern in self.left_out)
