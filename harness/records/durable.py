"""Files that are there whole or not at all, whenever the machine stops, and the lock that keeps two runs apart."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from harness.task.presets import ConfigurationError

# What fsync of a folder raises where the file system has no such thing.
CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS)
# A process' start is known to a hundredth of a second, a file's time to that of its server.
CLOCKS_DIFFER_S = 1.0
TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A line for each name, and one for a list of numbers.

    Raises ValueError for a number that JSON cannot hold, before anything is written.
    """
    lines = json.dumps(content, indent=1, allow_nan=False)
    # No text has a line's end in it, which JSON escapes.
    written = re.sub(r'\[\n([^][{}"]*?)\n *\]', lambda found: f"[{' '.join(found[1].split())}]", lines)
    write_bytes(path, written.encode())


def write_text(path: Path, content: str) -> None:
    """In UTF-8, with ? for the half characters that names of files and JSON may hold."""
    write_bytes(path, content.encode("utf-8", "replace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Whole or not at all: written beside the file, synced, renamed into its place, and the folder synced.

    Raises OSError, and then leaves the file as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move(path: Path, target: Path) -> None:
    """Rename, and have both folders know of it before anything else happens."""
    path.rename(target)
    sync_folder(target.parent)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A rename is only sure to outlive a power cut once its folder is on the disk. Some file systems (FUSE, network)
    cannot sync a folder; that is said once, and the file is there all the same."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
        _say_unsynced()
    finally:
        os.close(descriptor)


@functools.cache
def _say_unsynced() -> None:
    sys.stderr.write("Warning: folders cannot be synced on this file system; a power cut may lose the latest files\n")


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone after the `with` block. Raises ConfigurationError where none can be made."""
    try:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        text = f"no usable temporary folder ({error.strerror}); set TMPDIR to a folder that can be written to"
        raise ConfigurationError(text) from None
    with folder as name:
        yield Path(name)


def remove_temporaries(folder: Path) -> None:
    """Remove what writers that were killed have left; a temporary file is named by its writer's process."""
    for path in folder.rglob(".*.tmp"):
        named = TEMPORARY.fullmatch(path.name)
        if named and not _is_written(path, int(named["pid"])):
            path.unlink(missing_ok=True)


def _is_written(path: Path, pid: int) -> bool:
    """Whether the process that began the file still runs. One that started later has only got its number."""
    try:
        return bool(psutil.Process(pid).create_time() <= path.stat().st_mtime + CLOCKS_DIFFER_S)
    except (psutil.NoSuchProcess, OverflowError, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        return True


class Locked(Exception):
    """Another process holds the lock; the text says which, where it is known."""


class FolderLock:
    """An exclusive lock on a folder for as long as this process lives, or until it is closed.

    The kernel holds it (flock), so that it ends with its process, however that ends; the file stays.
    """

    def __init__(self, folder: Path) -> None:
        """Raises Locked, or OSError where the folder cannot be written to or its file system knows no locks."""
        self._descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            holder = _read_holder(self._descriptor)
            self.close()
            raise Locked(holder) from None
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._descriptor)


def find_holder(folder: Path) -> str | None:
    """Which process holds the folder's lock, for one who only reads there; None where none does, or none can be seen
    to."""
    try:
        descriptor = os.open(folder / ".lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        # Given back with the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return None


def _read_holder(descriptor: int) -> str:
    number = os.read(descriptor, 20).decode(errors="replace").strip()
    return f"process {number}" if number.isdecimal() else "another process"
