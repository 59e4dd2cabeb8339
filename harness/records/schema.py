"""What the files of a run's folder are: their version, the statuses, and how they are read and sealed.

Version 3 (2026): the samples of the ceiling are in ceiling.json alone, taken by processes of their own, each with the
way that its framework multiplied; a record has neither `ceiling` nor the stage `ceiling_s`. settings.cpus of a record
are the processors in force while it trained, and cpus_asked those that it was given. The original's loss had another
name. The configuration has evaluate.learning, and neither train.epoch_steps nor train.stop_at_loss. A record names its
`faults`, keeps what was left out for them (`faulty`), and has `data_cpu_s`; a session of run.json, `other_cpu_share`.

Version 2 (2026): a record carries its attempt, what it was made with (provenance), the digests of its run's
configuration and of its parameters, and a seal over itself. Version 1 had none of these.

This version alone is read. Published runs of earlier ones were written anew as runs of this one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.task.one_line import one_line

SCHEMA_VERSION = 3
SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
SEAL = "sha256"
MAXIMUM_FILE_BYTES = 2**28
MAXIMUM_REASON_LENGTH = 500


class UnreadableFile(ValueError):
    """A file that is not what it should be; its text is one line and does not name the file."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file: strict JSON, so no NaN and no key twice.

    Raises UnreadableFile, and FileNotFoundError where there is none. Follows no link, for it could lead anywhere.
    """
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UnreadableFile("it is no regular file")
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise UnreadableFile(f"it is larger than {MAXIMUM_FILE_BYTES} bytes")
        content = json.loads(path.read_bytes(), parse_constant=_refuse_constant, object_pairs_hook=_refuse_twins)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise UnreadableFile(str(error.strerror)) from None
    except RecursionError:
        raise UnreadableFile("it is nested too deeply") from None
    except ValueError as error:
        raise UnreadableFile(str(error)) from None
    if not isinstance(content, dict):
        raise UnreadableFile("it holds no object")
    return content


def digest(content: Any) -> str:
    """SHA-256 of JSON content, whatever its layout and the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with a digest over all the rest of it. It shows a change, not who made it."""
    rest = {key: value for key, value in record.items() if key != SEAL}
    return {**rest, SEAL: digest(rest)}


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether the record is what was sealed. Raises nothing, whatever it holds."""
    try:
        return bool(seal(record)[SEAL] == record.get(SEAL))
    except (ValueError, RecursionError):
        return False


def flatten(sections: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as {"section.key": value}."""
    flat: dict[str, Any] = {}
    for key, value in sections.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return content
