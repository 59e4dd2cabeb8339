"""The page and the schema of the records are those of the structs, whatever stands in the structs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import records_document as document

STRUCTS = '''
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec


class Base(msgspec.Struct):
    first: int  # Its own name | of two


@dataclass(frozen=True)
class Inner:
    """What is inside."""

    elapsed_s: Annotated[float, msgspec.Meta(gt=0)]
    """Since the beginning, however
    long the line."""
    # Above the field,
    # on two lines.
    sizes_bytes: list[int] = field(default_factory=list)
    plain: dict[str, float | None] | None = None
    kind: Literal['a', 'b'] = 'a'
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0


class Outer(Base, kw_only=True, rename={"renamed": "in_file"}):
    """The whole file."""

    inner: list[Inner]
    renamed: Any = None  # Beside
    again: "Outer | None" = None
'''


@pytest.fixture
def structs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "made_up_structs.py").write_text(STRUCTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("made_up_structs")
    del sys.modules["made_up_structs"]


def test_the_page_and_the_schema_are_current() -> None:
    advice = "the records have changed: python scripts/records_document.py"
    assert document.MARKDOWN.read_text("utf-8") == document.make_markdown(document.FILES), advice
    expected = json.loads(json.dumps(document.make_schema(document.FILES)))
    assert json.loads(document.SCHEMA.read_text("utf-8")) == expected, advice


def test_a_field_has_its_type_its_unit_and_its_line(structs: ModuleType) -> None:
    page = document.make_markdown({"outer.json": structs.Outer})
    rows = [
        "| `outer.json` | [Outer](#outer) |",
        r"| `first` | integer |  | Its own name \| of two |",
        "| `in_file` | anything, optional |  | Beside |",
        "| `inner` | list of [Inner](#inner) |  |  |",
        "| `elapsed_s` | number, above 0 | seconds | Since the beginning, however long the line. |",
        "| `sizes_bytes` | list of integer, optional | bytes | Above the field, on two lines. |",
        '| `kind` | one of `"a"`, `"b"`, optional |  |  |',
        "| `share` | number, at least 0, at most 1, optional |  |  |",
        "| `plain` | object of (number or null) or null, optional |  |  |",
    ]
    for row in rows:
        assert row in page.splitlines(), page
    assert page.index("## Outer") < page.index("## Inner")
    assert "## Outer\n\nThe whole file.\n" in page


def test_the_schema_has_the_lines_too(structs: ModuleType) -> None:
    schema = document.make_schema({"outer.json": structs.Outer})
    assert schema["anyOf"] == [{"$ref": "#/$defs/Outer"}]
    properties = schema["$defs"]["Inner"]["properties"]
    assert properties["elapsed_s"]["exclusiveMinimum"] == 0
    assert properties["elapsed_s"]["description"] == "Since the beginning, however long the line."
    assert "description" not in properties["plain"]
