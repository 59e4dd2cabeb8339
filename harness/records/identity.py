"""Which cell a record is of: one training of one implementation with one seed, in one process."""

from __future__ import annotations

from dataclasses import dataclass

from backends import Backend


@dataclass(frozen=True)
class PlannedCell:
    backend: Backend
    implementation: str
    precision: str
    seed: int
    repeat: int

    @property
    def name(self) -> str:
        return f"{self.backend.name}-{self.implementation}-{self.precision}-seed{self.seed}-r{self.repeat}"

    @property
    def variant(self) -> tuple[str, str, str]:
        """Backend, implementation and precision: what is compared, whatever the seed and the repeat."""
        return self.backend.name, self.implementation, self.precision
