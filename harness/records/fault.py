"""One thing that is wrong, and where."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import msgspec

from harness.task.one_line import one_line

RELATIVE_TOLERANCE = 1e-9
ABSOLUTE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Fault:
    """field is the path of the key within its file, empty for the whole file."""

    field: str
    text: str

    @property
    def name(self) -> str:
        """Of a fault in a record, the name of the field that it is in, at whatever depth."""
        return re.split(r"[.\[]", self.field, maxsplit=1)[0]

    def __str__(self) -> str:
        return one_line(f"{self.field}: {self.text}" if self.field else self.text)


def agree(left: float, right: float) -> bool:
    """Equal but for the rounding of sums taken in another order."""
    return math.isclose(left, right, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)


def shape_fault(content: object, kind: type) -> Fault | None:
    """The first field of a file's content that is missing or of the wrong type or range; kind is one of the structs."""
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        place = path.rstrip("`").lstrip(".")
        missing = re.search(r"missing required field `(.+)`", text)
        if missing:
            return Fault(f"{place}.{missing[1]}".lstrip("."), "it is missing")
        return Fault(place, f"{text[:1].lower()}{text[1:]}")
    except RecursionError:
        return Fault("", "it is nested too deeply")
    return None
