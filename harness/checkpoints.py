"""The state of a cell that has not ended, in one file, so that it is whole or not there: the trainer's arrays and, as
the file's metadata, the history of its training."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harness.protocol import Message
from harness.results import write_bytes

HISTORY = "history"


def checkpoint_path(folder: Path, cell: str) -> Path:
    """Where the checkpoint of a cell lies in its run's folder."""
    return folder / "cells" / f"{cell}.checkpoint.safetensors"


def write_checkpoint(path: Path, message: Message) -> None:
    """Keep what a worker's "checkpoint" message brought, in place of an earlier one."""
    write_bytes(path, save(dict(message.arrays), metadata={HISTORY: json.dumps(message.body)}))


def read_checkpoint(path: Path) -> Message | None:
    """The message as it was written; None where there is none.

    Raises ValueError, in one line, where the file is no checkpoint.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            body = json.loads((file.metadata() or {})[HISTORY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not isinstance(body, dict) or not {"history", "timeline"} <= body.keys():
            raise ValueError("its metadata are not a cell's history")
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from None
    return Message("checkpoint", body, arrays)
