"""The NumPy reference, which tells of its memory what JSON cannot hold."""

from __future__ import annotations

from typing import Any

from backends import reference


class FaultyTrainer:
    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)

    def peak_memory_bytes(self) -> float:
        return float("nan")


def build(*arguments: Any, **options: Any) -> FaultyTrainer:
    return FaultyTrainer(reference.build(*arguments, **options))
