"""What all figures share: the suite's own settings of matplotlib, a colour a framework that the colour-blind can tell
apart (Okabe and Ito 2008), one width of lines, sizes, texts, saving."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from textwrap import fill
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from harness.analysis.variants import Variant

# The page's neutral colours in the light; on the page itself they turn with it.
BLACK, INK, QUIET, GRID, SHADE, PAGE = "#000000", "#1b1f24", "#57606c", "#e6e9ed", "#f5f6f8", "#ffffff"
COLOURS = {"torch": "#D55E00", "tensorflow": "#E69F00", "jax": "#0072B2", "reference": "#7F7F7F"}
OTHER_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", INK, "#F0E442")
LINE_WIDTH, MARKER_SIZE = 1.6, 5.0
# By implementation, in float32 and in other precisions; what is not known has the last.
MARKERS = {"idiomatic": ("o", "^"), "tuned": ("s", "D")}
OTHER_MARKERS = ("v", "P")
MARKERS_ON_A_LINE = 6
# A panel fills a phone of 390 pixels with its text at 12 pixels.
PANEL_WIDTH, PANEL_HEIGHT, TEXT = 4.9, 3.4, 12
LEGEND_ROW = 0.25
# Points between a line and the text that names it.
LINE_GAP = 3
NOTE: dict[str, Any] = {"color": QUIET, "fontsize": TEXT}
DOTS_PER_INCH = 160
# The gid of an artist that has a text for the reader who points at it: of a strip that is unseen itself, or of what is
# seen. The lines of the text are split by SPLIT.
READOUT, TOLD, SPLIT = "readout:", "told:", "\N{LINE SEPARATOR}"
MOST_READOUTS = 60
# Letters in a name at the end of a line, which takes about a third of a panel, in a line of text across a panel, and in
# one beside the sample of a legend.
LONGEST_NAME, LONGEST_LINE, LONGEST_LEGEND_LINE = 17, 50, 42


@contextmanager
def own_settings() -> Iterator[None]:
    """Figures are made and saved inside: whatever the reader's matplotlibrc says, they are the same to the byte."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def make_figure(width: float, height: float, row_gap: float = 0.08) -> Figure:
    """A white figure of width x height inches that lays itself out, with so many inches above and below a panel."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=row_gap, hspace=0)
    return Figure(figsize=(width, height), layout=layout, facecolor=PAGE)


def make_panels(n: int, n_series: int, n_columns: int = 2, height: float = PANEL_HEIGHT) -> tuple[Figure, list[Axes]]:
    """A figure of n panels in rows, each so many inches high, with room below for a legend of so many series."""
    n_columns = min(n, n_columns)
    n_rows = -(-n // n_columns)
    figure = make_figure(PANEL_WIDTH * n_columns, height * n_rows + LEGEND_ROW * n_series)
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
    for unused in panels[n:]:
        unused.remove()
    return figure, panels[:n]


def settle(figure: Figure) -> None:
    """Lay the figure out, and leave its panels where they are, in places rounded to what nobody sees: the last digits
    of the layout differ from one time to the next. A figure that is laid out stays as it is."""
    if figure.get_layout_engine() is None:
        return
    figure.draw_without_rendering()
    # Not "none", with which matplotlib would draw everything twice each time that it saves something.
    figure.set_layout_engine(None)
    for axes in figure.axes:
        left, bottom, width, height = (round(each, 6) for each in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


def encode_png(figure: Figure) -> bytes:
    """The figure as PNG, without the software's version so that equal figures are equal bytes."""
    settle(figure)
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
    """Line properties: the framework's colour, and markers of the implementation's shape, hollow for the idiomatic."""
    tint = colour(variant, variants)
    shapes = MARKERS.get(variant.implementation, OTHER_MARKERS)
    return {
        "color": tint,
        "linewidth": LINE_WIDTH,
        "marker": shapes[variant.precision != "float32"],
        "markersize": MARKER_SIZE,
        "markerfacecolor": PAGE if variant.implementation == "idiomatic" else tint,
        "label": plain(variant.marked_label, LONGEST_LEGEND_LINE),
        "zorder": 3,
    }


def spread_markers(variant: Variant, variants: list[Variant], n_points: int) -> list[int]:
    """Which of a line's n_points have a marker: a few, and others than those of the other variants, so that lines that
    lie on each other are all seen."""
    shares = (np.arange(MARKERS_ON_A_LINE) + (variants.index(variant) + 0.5) / len(variants)) / MARKERS_ON_A_LINE
    return [int(place) for place in np.unique((shares * (n_points - 1)).round())]


def plain(label: str, longest_line: int = LONGEST_LINE) -> str:
    """A label from a record with nothing left that matplotlib would read as mathematics or SVG cannot hold, in lines
    that a panel has room for."""
    return fill(_printable(label), longest_line).replace("$", r"\$")


def finish_axes(axes: Axes, title: str, x_label: str, y_label: str, *, grid: Literal["x", "y"] = "y") -> None:
    """Title and labels, a faint grid behind the data across the axis that is read, no frame above and at the right."""
    axes.set_title(title, loc="left", fontsize=TEXT, fontweight="bold", color=INK)
    axes.set_xlabel(x_label, fontsize=TEXT, color=QUIET)
    axes.set_ylabel(y_label, fontsize=TEXT, color=QUIET)
    axes.tick_params(which="both", labelsize=TEXT, color=QUIET, labelcolor=QUIET)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)


def draw_band(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, tint: str) -> None:
    """The range between processes around a line."""
    axes.fill_between(x, low, high, color=tint, alpha=0.15, linewidth=0)


def mark_line(axes: Axes, at: float, text: str, side: str = "bottom") -> None:
    """A thin line across the plot, with its text above it at the left, or with its top below it."""
    axes.axhline(at, color=QUIET, linewidth=1)
    # Over the grid and under the data.
    behind: dict[str, Any] = {"bbox": {"facecolor": PAGE, "edgecolor": "none", "pad": 0.5}, "zorder": 1.5}
    away = (0, LINE_GAP if side == "bottom" else -LINE_GAP)
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": side}
    axes.annotate(text, (0.01, at), away, **place, **NOTE, **behind)


def name_lines(figure: Figure, panels: Sequence[Axes]) -> None:
    """What is drawn in the panels: at the right ends of lines where every name fits in every panel, else below all."""
    if all(_fit(figure, axes) for axes in panels):
        for axes in panels:
            for each in _named_lines(axes):
                axes.annotate(
                    str(each.get_label()),
                    _end(each),
                    (8, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=TEXT,
                    color=INK,
                    annotation_clip=False,
                )
        return
    handles, labels = max((axes.get_legend_handles_labels() for axes in panels), key=lambda found: len(found[0]))
    figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=TEXT, labelspacing=0.3)


def _fit(figure: Figure, axes: Axes) -> bool:
    """Whether all that has a name is a line, its name short, its end at the right and a text's height from others'."""
    lines = _named_lines(axes)
    if not lines or len(lines) < len(axes.get_legend_handles_labels()[0]):
        return False
    # Until it is asked for, matplotlib leaves it open where the axes end.
    axes.autoscale_view()
    ends = axes.transAxes.inverted().transform([axes.transData.transform(_end(each)) for each in lines])
    text_height = 1.3 * TEXT / 72 / (axes.get_position().height * figure.get_size_inches()[1])
    heights = sorted(ends[:, 1])
    return (
        bool(np.isfinite(ends).all())
        and all(len(str(each.get_label())) <= LONGEST_NAME for each in lines)
        and all(ends[:, 0] > 0.9)
        and all(above - below > text_height for below, above in pairwise(heights))
    )


def _named_lines(axes: Axes) -> list[Line2D]:
    return [each for each in axes.lines if not str(each.get_label()).startswith("_")]


def _end(drawn: Line2D) -> tuple[float, float]:
    return float(np.asarray(drawn.get_xdata())[-1]), float(np.asarray(drawn.get_ydata())[-1])


def tell(artist: Artist, text: str) -> None:
    """Have the artist tell a text to whoever points at it on the page."""
    artist.set_gid(TOLD + _printable(text))


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


def readout_text(heading: str, values: Iterable[tuple[Variant, str]]) -> str:
    """The text of a readout: a line for each variant."""
    lines = [heading, *(f"{variant.marked_label}: {value}" for variant, value in values)]
    return SPLIT.join(map(_printable, lines))


def pick_readouts(n: int) -> list[int]:
    """Indices of some of n points, evenly spread, the first and the last among them."""
    return [int(index) for index in np.unique(np.linspace(0, n - 1, min(n, MOST_READOUTS)).round())]


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())
