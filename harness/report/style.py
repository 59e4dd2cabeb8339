"""What every plot shares: one colour-blind-safe colour a framework (Okabe and Ito 2008), figures, saving."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from harness.analysis.variants import Variant

COLOURS = {"torch": "#D55E00", "tensorflow": "#E69F00", "jax": "#0072B2", "reference": "#7F7F7F"}
OTHER_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
FLOAT32_LINES = {"idiomatic": "solid", "tuned": "dashed"}
OTHER_LINES = {"idiomatic": "dashdot", "tuned": "dotted"}
WIDEST_LINE, NARROWEST_LINE = 6.0, 1.4
QUIET = "#666666"
DOTS_PER_INCH = 110


def make_figure(width: float, height: float) -> Figure:
    """A white figure of width x height inches that lays itself out."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1), facecolor="white")


def encode_png(figure: Figure) -> bytes:
    """The figure as PNG, without the software's version so that equal plots are equal bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def colour(variant: Variant, variants: list[Variant]) -> str:
    """The framework's colour; frameworks without a fixed one take the rest of the palette in order of name."""
    others = sorted({other.backend for other in variants} - COLOURS.keys())
    if variant.backend in COLOURS:
        return COLOURS[variant.backend]
    return OTHER_COLOURS[others.index(variant.backend) % len(OTHER_COLOURS)]


def line(variant: Variant, variants: list[Variant]) -> dict[str, Any]:
    """Line properties. Later variants are narrower, so that lines that coincide are all seen."""
    styles = FLOAT32_LINES if variant.precision == "float32" else OTHER_LINES
    order = variants.index(variant) / max(len(variants) - 1, 1)
    return {
        "color": colour(variant, variants),
        "linestyle": styles.get(variant.implementation, "dotted"),
        "linewidth": WIDEST_LINE + order * (NARROWEST_LINE - WIDEST_LINE),
        "zorder": 3 + order,
        "label": plain(variant.marked_label),
    }


def plain(label: str) -> str:
    """A label from a record with nothing left that matplotlib would read as mathematics."""
    return label.replace("$", r"\$")


def finish_axes(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Title and labels, a faint grid behind the data, no frame above and at the right."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
