"""What all figures share: one colour-blind-safe colour a framework (Okabe and Ito 2008), sizes, texts, saving."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from harness.analysis.variants import Variant

# The page's neutral colours in the light; on the page itself they turn with it.
BLACK, INK, QUIET, GRID, SHADE, PAGE = "#000000", "#1b1f24", "#57606c", "#e6e9ed", "#f5f6f8", "#ffffff"
COLOURS = {"torch": "#D55E00", "tensorflow": "#E69F00", "jax": "#0072B2", "reference": "#7F7F7F"}
OTHER_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", INK, "#F0E442")
FLOAT32_LINES = {"idiomatic": "solid", "tuned": "dashed"}
OTHER_LINES = {"idiomatic": "dashdot", "tuned": "dotted"}
WIDEST_LINE, NARROWEST_LINE = 5.0, 1.2
# A panel fills a phone of 390 pixels with its text at 12 pixels.
PANEL_WIDTH, PANEL_HEIGHT, TEXT = 4.9, 3.4, 12
LEGEND_ROW = 0.25
NOTE: dict[str, Any] = {"color": QUIET, "fontsize": TEXT}
DOTS_PER_INCH = 160
# An artist's gid with this prefix is a text for the reader who points at it; its lines are split by SPLIT.
READOUT, SPLIT = "readout:", "\N{LINE SEPARATOR}"
MOST_READOUTS = 60


def make_figure(width: float, height: float) -> Figure:
    """A white figure of width x height inches that lays itself out."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08), facecolor=PAGE)


def make_panels(n: int, n_series: int, n_columns: int = 2) -> tuple[Figure, list[Axes]]:
    """A figure of n panels in rows, with room below for a legend of so many series."""
    n_columns = min(n, n_columns)
    n_rows = -(-n // n_columns)
    figure = make_figure(PANEL_WIDTH * n_columns, PANEL_HEIGHT * n_rows + LEGEND_ROW * n_series)
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
    for unused in panels[n:]:
        unused.remove()
    return figure, panels[:n]


def add_legend(figure: Figure, axes: Axes) -> None:
    """What the axes' lines are, below all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower left", frameon=False, handlelength=3.5, fontsize=TEXT, labelspacing=0.3
    )


def encode_png(figure: Figure) -> bytes:
    """The figure as PNG, without the software's version so that equal figures are equal bytes."""
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


def dots(variant: Variant, variants: list[Variant]) -> dict[str, Any]:
    """Line properties with a marker at each point, round for the idiomatic implementation."""
    properties = line(variant, variants)
    marker = "o" if variant.implementation == "idiomatic" else "s"
    return {"marker": marker, "markersize": properties["linewidth"] + 2.5, "clip_on": False, **properties}


def plain(label: str) -> str:
    """A label from a record with nothing left that matplotlib would read as mathematics or SVG cannot hold."""
    return "".join(letter for letter in label if letter.isprintable()).replace("$", r"\$")


def finish_axes(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Title and labels, a faint grid behind the data, no frame above and at the right."""
    axes.set_title(title, loc="left", fontsize=TEXT, fontweight="bold", color=INK)
    axes.set_xlabel(x_label, fontsize=TEXT, color=QUIET)
    axes.set_ylabel(y_label, fontsize=TEXT, color=QUIET)
    axes.tick_params(which="both", labelsize=TEXT, color=QUIET, labelcolor=QUIET)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)


def draw_band(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, tint: str) -> None:
    """The range between processes around a line."""
    axes.fill_between(x, low, high, color=tint, alpha=0.15, linewidth=0)


def mark_line(axes: Axes, at: float, text: str, side: str = "bottom") -> None:
    """A thin line across the plot, with its text above it at the left, or with its top below it."""
    axes.axhline(at, color=QUIET, linewidth=1, linestyle=(0, (1, 2)))
    axes.text(0.01, at, text, va=side, transform=axes.get_yaxis_transform(), **NOTE)


def add_readouts(axes: Axes, at: Sequence[float], texts: Iterable[str]) -> None:
    """Unseen upright strips that tell their text to whoever points at them, each nearest to its value of x. The axis
    has its scale and its limits before."""
    scale = axes.xaxis.get_transform()
    places = np.asarray(scale.transform(np.asarray(at, np.float64)), np.float64)
    ends = scale.transform(np.asarray(axes.get_xlim(), np.float64))
    edges = scale.inverted().transform(np.array([ends[0], *(places[:-1] + places[1:]) / 2, ends[1]]))
    for left, right, text in zip(edges[:-1], edges[1:], texts, strict=True):
        strip = Rectangle((left, 0), right - left, 1, transform=axes.get_xaxis_transform(), fill=False, linewidth=0)
        strip.set(gid=READOUT + text, zorder=9)
        axes.add_artist(strip)


def say(heading: str, values: Iterable[tuple[Variant, str]]) -> str:
    """The text of a readout: a line for each variant."""
    lines = [heading, *(f"{variant.marked_label}: {value}" for variant, value in values)]
    return SPLIT.join("".join(letter for letter in each if letter.isprintable()) for each in lines)


def pick_readouts(n: int) -> list[int]:
    """Indices of some of n points, evenly spread, the first and the last among them."""
    return [int(index) for index in np.unique(np.linspace(0, n - 1, min(n, MOST_READOUTS)).round())]
