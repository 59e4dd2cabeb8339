"""The state of a cell that has not ended, in one file, so that it is whole or not there: the trainer's arrays and, as
the file's metadata, the history of its training and what it was made with."""

from __future__ import annotations

from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harness.records.durable import write_bytes
from harness.records.messages import Checkpoint, Message, encode
from harness.records.structs import Making

CHECKPOINT, MADE_WITH = "checkpoint", "made_with"


def checkpoint_path(folder: Path, cell: str) -> Path:
    """Where the checkpoint of a cell lies in its run's folder."""
    return folder / "cells" / f"{cell}.checkpoint.safetensors"


def write_checkpoint(path: Path, message: Message, made_with: Making) -> None:
    """Keep what a worker's Checkpoint brought, in place of an earlier one, and what it was made with.

    Raises OSError.
    """
    metadata = {CHECKPOINT: encode(message.body).decode(), MADE_WITH: encode(made_with).decode()}
    write_bytes(path, save(dict(message.arrays), metadata=metadata))


def read_checkpoint(path: Path, made_with: Making) -> Message | None:
    """The message as it was written; None where there is none.

    Raises ValueError, in one line, where the file is no checkpoint or was made with something else.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            body = msgspec.json.decode(metadata[CHECKPOINT], type=Checkpoint)
            made = msgspec.json.decode(metadata[MADE_WITH], type=Making)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if made != made_with:
            raise ValueError("it was made with other versions or on another processor")
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be used: {' '.join(str(error).split())}") from None
    return Message(body, arrays)
