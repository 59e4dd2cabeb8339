"""How much memory this process holds resident, from Linux' /proc. Standard library only."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

# proc_pid_clear_refs(5): the peak becomes what is resident now.
RESET_PEAK = "5"


class ResidentMemory:
    """The most that this process holds resident: in all, and from the making of this on beyond what it held then.

    Bytes; None where the system does not tell. `process` is the process' folder in /proc.
    """

    def __init__(self, process: Path = Path("/proc/self")) -> None:
        self.process, self.was_reset = process, False
        self.before, self.earlier_peak = self._read("VmRSS"), self._read("VmHWM")
        with contextlib.suppress(OSError):
            (process / "clear_refs").write_text(RESET_PEAK, encoding="ascii")
            self.was_reset = True

    def peak_bytes(self) -> int | None:
        """Since the process was started."""
        peak = self._read("VmHWM")
        return None if peak is None or self.earlier_peak is None else max(peak, self.earlier_peak)

    def added_bytes(self) -> int | None:
        """Since the making of this, beyond what was resident then."""
        peak = self._read("VmHWM")
        if peak is None or self.before is None or self.earlier_peak is None:
            return None
        # Where the peak cannot be reset, that of importing may hide a lower one of what came later: no number then.
        if not self.was_reset and peak <= self.earlier_peak:
            return None
        return max(0, peak - self.before)

    def _read(self, name: str) -> int | None:
        try:
            status = (self.process / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        return 1024 * int(found[1]) if found else None
