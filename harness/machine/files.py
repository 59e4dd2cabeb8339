"""Reading the small files in which Linux tells about itself."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")


def read(path: Path) -> str | None:
    """The file's text without surrounding white space; None where it cannot be read or is empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").replace("\0", " ").strip() or None
    except OSError:
        return None


def read_integer(path: Path) -> int | None:
    """The file's whole number; None where it holds none."""
    try:
        return int(read(path) or "")
    except ValueError:
        return None
