"""The report as one HTML page that needs nothing else: it asks for nothing and runs only its own short script."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report.content import Content
from harness.report.page.page import Page

SCRIPT = "sort.js"


def render(content: Content, page: Page) -> str:
    """The content's texts and tables, and the page's charts in place of its pictures."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_keep_percent,
    )
    script = environment.get_template(SCRIPT).render()
    template = environment.get_template("report.html.j2")
    return template.render(content=content, page=page, script=script, script_hash=_hash(script))


def _keep_percent(value: object) -> object:
    """Texts with the sign on the line of its number; what is markup already stays as it is."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return str(value).replace(" %", "\N{NO-BREAK SPACE}%") if is_text else value


def _hash(script: str) -> str:
    """What the page's policy knows its script by: any other is refused."""
    return f"sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
