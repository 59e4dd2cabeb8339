"""The NumPy reference with nothing but what a trainer has to have."""

from __future__ import annotations

from typing import Any

from backends import reference

REQUIRED = ("train", "predict", "loss_and_gradients", "parameters", "peak_memory_bytes", "settings")


class StatelessTrainer:
    def __init__(self, trainer: Any) -> None:
        vars(self).update({name: getattr(trainer, name) for name in REQUIRED})


def build(*arguments: Any, **options: Any) -> StatelessTrainer:
    return StatelessTrainer(reference.build(*arguments, **options))
