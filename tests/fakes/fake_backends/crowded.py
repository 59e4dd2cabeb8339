"""Trains as one of several ranks, and has children that compute: one in its first call that ends, one that goes on.

On the machine that it sees nothing runs but what has the variable CROWD in its environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from backends.contract import Array, Chunk, Group, ModelSpec, OptimizerSpec, Parameters
from fake_backends.together import RankTrainer

BURN_S = 0.2
BURN = "import time\nwhile time.process_time() < {}: pass"
read_text = Path.read_text


def read_crowd(path: Path, *arguments: Any, **options: Any) -> str:
    if path != Path("/proc/stat"):
        return read_text(path, *arguments, **options)
    used_s = 0.0
    for process in psutil.process_iter():
        try:
            if "CROWD" in process.environ():
                used_s += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return f"cpu {round(used_s * os.sysconf('SC_CLK_TCK'))} 0 0 0 0 0 0 0"


Path.read_text = read_crowd  # type: ignore[method-assign]


class CrowdedTrainer(RankTrainer):
    def train(self, chunk: Chunk) -> Array:
        if self.steps == 0:
            subprocess.run([sys.executable, "-c", BURN.format(BURN_S)], check=True)
            subprocess.Popen([sys.executable, "-c", BURN.format(600)])
        begun_s = time.process_time()
        while time.process_time() - begun_s < BURN_S:
            pass
        return super().train(chunk)


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> CrowdedTrainer:
    return CrowdedTrainer(model, parameters, group)
