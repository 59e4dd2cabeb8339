"""The report as one HTML page that needs nothing else: plots are inside it, nothing is loaded or run."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.report.content import Content


def render(content: Content, images: Mapping[str, bytes]) -> str:
    """The page; images are PNG files by the paths that the content's pictures have."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    sources = {path: f"data:image/png;base64,{b64encode(image).decode()}" for path, image in images.items()}
    return environment.get_template("report.html.j2").render(content=content, sources=sources)
