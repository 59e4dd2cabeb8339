"""Figures as SVG: text as text, equal bytes for equal figures, and for the page in its own colours and font."""

from __future__ import annotations

import re
from io import StringIO
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.transforms import Bbox

from harness.analysis.variants import Variant
from harness.report.figures.style import (
    BLACK,
    GRID,
    INK,
    PAGE,
    PANEL_WIDTH,
    QUIET,
    READOUT,
    SHADE,
    SPLIT,
    TOLD,
    colour,
    settle,
)

POINTS_PER_INCH = 72
# The page's own, which turn with light and dark; its style sheet has their values.
PAGE_COLOURS = {
    BLACK: "currentColor",
    INK: "currentColor",
    QUIET: "var(--quiet)",
    GRID: "var(--grid)",
    SHADE: "var(--card)",
    PAGE: "var(--page)",
}
COLOUR = re.compile("|".join(PAGE_COLOURS), re.IGNORECASE)
# matplotlib names the font in one of two ways; the page's own takes its place.
FONT, FAMILY = re.compile(r"font: (?:(bold) )?(\S+px) [^;]*"), re.compile(r"font-family: [^;]*; ?")
FRACTION = re.compile(r"-?\d+\.\d{2,}")
SVG, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def encode_svg(figure: Figure, salt: str, extent: Bbox | None = None) -> str:
    """The figure as a file of its own, or what lies within the extent, in inches. The salt makes its names its own."""
    vector = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(vector, format="svg", metadata={"Date": None}, bbox_inches=extent)
    return vector.getvalue()


def css_colour(variant: Variant, variants: list[Variant]) -> str:
    """The variant's colour on the page."""
    chosen = colour(variant, variants)
    return PAGE_COLOURS.get(chosen, chosen)


def embed(figure: Figure, name: str) -> list[Markup]:
    """The figure for a page, a picture for each panel and one for the legend, so that a narrow page stacks them; in
    one picture where it has one panel or where images share a colour scale."""
    settle(figure)
    figure.set_dpi(POINTS_PER_INCH)
    if len(figure.axes) == 1 or any(axes.images for axes in figure.axes):
        return [_fit_in(encode_svg(figure, name))]
    parts: list[Axes | Legend] = [*figure.axes, *figure.legends]
    return [_fit_in(encode_svg(figure, f"{name}{n}", _show_alone(part, parts))) for n, part in enumerate(parts)]


def _show_alone(part: Axes | Legend, parts: list[Axes | Legend]) -> Bbox:
    """Hide the others; return where the part lies, in inches, as wide as a panel so that all texts are of one size."""
    for each in parts:
        each.set_visible(each is part)
    extent = part.get_tightbbox()
    assert extent is not None
    (left, bottom), (right, top) = extent.padded(3).get_points() / POINTS_PER_INCH
    return Bbox([[left, bottom], [max(right, left + PANEL_WIDTH), top]])


def _fit_in(file: str) -> Markup:
    """The SVG element alone, in the page's colours and font, with values as titles of the places they belong to."""
    root = ElementTree.fromstring(file)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for group in root.iter(f"{{{SVG}}}g"):
        _name(group)
    for element in root.iter():
        _use_page_style(element)
    for size in ("width", "height"):
        del root.attrib[size]
    root.set("aria-hidden", "true")
    return Markup(_serialise(root))


def _name(group: ElementTree.Element) -> None:
    """A group's id is only matplotlib's count, or a text that is shown under the pointer."""
    kind, mark, text = group.attrib.pop("id", "").partition(":")
    if kind + mark not in (READOUT, TOLD):
        return
    ElementTree.SubElement(group, f"{{{SVG}}}title").text = text.replace(SPLIT, "\n")
    if kind + mark == READOUT:
        group.set("class", "readout")
        for shape in group.iter(f"{{{SVG}}}path"):
            shape.attrib.pop("style", None)


def _use_page_style(element: ElementTree.Element) -> None:
    if style := element.get("style"):
        style = FAMILY.sub("", FONT.sub(_page_font, style))
        element.set("style", COLOUR.sub(lambda found: PAGE_COLOURS[found[0].lower()], style))
    # A tenth of a point is not seen, but it is of the scale of an image.
    for name in ("d", "x", "y", "transform") if not element.tag.endswith("image") else ():
        if place := element.get(name):
            element.set(name, FRACTION.sub(lambda found: f"{float(found[0]):.1f}", place).strip())


def _page_font(found: re.Match[str]) -> str:
    weight, size = found.groups()
    return f"font-size: {size}" + (f"; font-weight: {weight}" if weight else "")


def _serialise(root: ElementTree.Element) -> str:
    """As HTML has it: without prefixes."""
    for element in root.iter():
        element.tag = element.tag.replace(f"{{{SVG}}}", "")
        for name in [name for name in element.attrib if name.startswith("{")]:
            element.set(name.replace(f"{{{LINK}}}", ""), element.attrib.pop(name))
    return ElementTree.tostring(root, "unicode")
