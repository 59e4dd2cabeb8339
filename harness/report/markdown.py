"""The report and its tables as Markdown; everything from the records is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from harness.report.content import Content, Section
from harness.report.readable import Readable

# An underscore inside a word is no markup, and escaping it would spoil names.
MARKUP = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def escape(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return MARKUP.sub(r"\\\g<0>", html.escape(one_line(text), quote=False))


def one_line(text: str) -> str:
    """The text with line ends and other control characters as single spaces."""
    return CONTROL.sub(" ", text).strip()


def render_table(table: Readable) -> str:
    """A table in Markdown, numbers aligned to the right."""
    ruler = ["---:" if is_numeric else "---" for is_numeric in table.numeric]
    rows = [[escape(text) for text in row] for row in (table.headers, *table.rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], ruler, *rows[1:]))


def render_meanings(table: Readable) -> str:
    """How to read the table's columns, a list."""
    return "".join(f"- **{escape(header)}**: {escape(meaning)}\n" for header, meaning in table.meanings)


def render(content: Content) -> str:
    """The whole report, with the plots as images beside it."""
    return "\n".join(_blocks(content))


def _blocks(content: Content) -> Iterator[str]:
    yield f"# {escape(content.title)}\n"
    yield f"{escape(content.subtitle)}\n"
    yield f"**{escape(content.headline)}**\n"
    yield "## Conclusions\n"
    yield "".join(f"- {escape(sentence)}\n" for sentence in content.conclusions)
    for section in content.sections:
        yield from _section_blocks(section)
    yield "## What was run\n"
    yield f"{escape(content.description)}\n"
    if content.commands:
        # Four spaces make a code block, in which nothing is markup.
        yield "## Repeat this run\n"
        yield "".join(f"    {one_line(command)}\n" for command in content.commands)


def _section_blocks(section: Section) -> Iterator[str]:
    yield f"## {escape(section.heading)}\n"
    if section.text:
        yield f"{escape(section.text)}\n"
    if section.cautions:
        yield "".join(f"- {escape(caution.text)}\n" for caution in section.cautions)
    for picture in section.pictures:
        yield f"![{escape(picture.alternative)}]({picture.path})\n"
    if section.links:
        yield f"{', '.join(f'[{escape(link.alternative)}]({link.path})' for link in section.links)}\n"
    for table in section.tables:
        yield from _table_blocks(table)
    for folded in section.folded:
        yield f"<details><summary>{escape(folded.summary)}</summary>\n"
        yield from _table_blocks(folded.table)
        yield "</details>\n"


def _table_blocks(table: Readable) -> Iterator[str]:
    yield render_table(table)
    if table.meanings:
        yield render_meanings(table)
