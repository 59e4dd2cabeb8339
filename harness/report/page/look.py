"""How a variant looks on the page: its framework's colour, and a dash and dots that do without colour."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.variants import Variant
from harness.report.style import colour, line

BLACK = "#000000"
DASHES = {"solid": "", "dashed": "7 4", "dashdot": "9 3 2 3", "dotted": "2 3"}
ROUND, SQUARE = "round", "square"


@dataclass(frozen=True)
class Look:
    """CSS colour, SVG dash array, line width in pixels, and the shape of dots; label is how the legend names it."""

    label: str
    colour: str
    dash: str
    width: float
    dot: str

    @property
    def dot_width(self) -> float:
        return self.width + 5


def find_look(variant: Variant, variants: list[Variant]) -> Look:
    """Like the look in the plots: an implementation has its dash, and lines that coincide are all seen."""
    properties = line(variant, variants)
    return Look(
        label=variant.marked_label,
        colour=css_colour(variant, variants),
        dash=DASHES[properties["linestyle"]],
        width=round(0.8 + 0.45 * properties["linewidth"], 1),
        dot=ROUND if variant.implementation == "idiomatic" else SQUARE,
    )


def css_colour(variant: Variant, variants: list[Variant]) -> str:
    """The framework's colour; black would not be seen on a dark page, so it is the text's."""
    chosen = colour(variant, variants)
    return "currentColor" if chosen == BLACK else chosen
