"""Write docs/records.md and docs/records.schema.json: every field of a run's files, from their structs.

    python scripts/records_document.py

What a field means is the line below it in the source (a docstring), beside it or above it (a comment). Its unit is the
end of its name.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec.inspect import DataclassType, Field, StructType, Type, type_info

from harness.records.schema import SCHEMA_VERSION
from harness.records.stages import STAGES
from harness.records.structs import CeilingFile, Cell, RunFile

DOCS = Path(__file__).parents[1] / "docs"
MARKDOWN, SCHEMA = DOCS / "records.md", DOCS / "records.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES: dict[str, type] = {"run.json": RunFile, "cells/<cell>.json": Cell, "ceiling.json": CeilingFile}
# By the last word of a field's name.
UNITS = {"s": "seconds", "seconds": "seconds", "ms": "milliseconds", "bytes": "bytes"}
Schema = dict[str, Any]


# --- The structs and their lines --------------------------------------------------------------------------------


def reached_structs(roots: list[type]) -> Iterator[DataclassType | StructType]:
    """The structs that the fields of the roots lead to, each once, the roots among them."""
    seen: set[type] = set()
    todo: list[Any] = [type_info(root) for root in reversed(roots)]
    while todo:
        node = todo.pop()
        if isinstance(node, DataclassType | StructType):
            if node.cls in seen:
                continue
            seen.add(node.cls)
            yield node
        values = [getattr(node, name) for name in node.__struct_fields__]
        parts = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
        todo += [part for part in reversed(parts) if isinstance(part, Type | Field)]


def field_lines(struct: type) -> dict[str, str]:
    """What the source says of each field, those of base classes included."""
    lines: dict[str, str] = {}
    for each in reversed(struct.__mro__):
        if "__annotations__" in vars(each):
            lines |= _own_lines(inspect.getsource(each))
    return lines


def _own_lines(source: str) -> dict[str, str]:
    [definition] = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    lines = {}
    for statement, following in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = _docstring(following) or _comment(source.splitlines(), statement)
            lines[statement.target.id] = " ".join(text.split())
    return lines


def _docstring(statement: ast.stmt | None) -> str:
    """The text of a statement that is a string and nothing else."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return ""


def _comment(source: list[str], field: ast.AnnAssign) -> str:
    """The comment beside the field or, where there is none, right above it."""
    assert field.end_lineno is not None
    beside = source[field.end_lineno - 1].encode()[field.end_col_offset :].decode().strip()
    if beside:
        return beside.lstrip("# ")
    above: list[str] = []
    for line in reversed(source[: field.lineno - 1]):
        if not line.lstrip().startswith("#"):
            break
        above.insert(0, line.strip().lstrip("# "))
    return " ".join(above)


# --- The two documents ------------------------------------------------------------------------------------------


def make_schema(files: dict[str, type]) -> Schema:
    """JSON Schema of the files, each described under the name of its struct in `$defs`."""
    roots = list(files.values())
    references, definitions = msgspec.json.schema_components(roots, ref_template="#/$defs/{name}")
    described = {}
    for struct in reached_structs(roots):
        name = struct.cls.__name__
        described[name] = _describe(struct, definitions.pop(name))
    return {"$schema": DIALECT, "anyOf": list(references), "$defs": {**described, **definitions}}


def _describe(struct: DataclassType | StructType, definition: Schema) -> Schema:
    """The definition with its docstring dedented and a description of each field that has a line."""
    if "description" in definition:
        definition["description"] = inspect.cleandoc(definition["description"])
    lines = field_lines(struct.cls)
    for field in struct.fields:
        if lines[field.name]:
            definition["properties"][field.encode_name]["description"] = lines[field.name]
    return definition


def make_markdown(files: dict[str, type]) -> str:
    schema = make_schema(files)
    sections = [_section(name, definition) for name, definition in schema["$defs"].items()]
    return "\n\n".join([_introduction(files), *sections, _stages()]) + "\n"


def _introduction(files: dict[str, type]) -> str:
    rows = [f"| `{file}` | {_link(struct.__name__)} |" for file, struct in files.items()]
    paragraphs = [
        "# The files of a run, field by field",
        f"Version {SCHEMA_VERSION} of the records. `scripts/records_document.py` writes this page, and"
        f" [{SCHEMA.name}]({SCHEMA.name}) as JSON Schema, from the structs in `harness/records/`.",
        "An optional field may be missing.",
        "\n".join(["| file | holds |", "|---|---|", *rows]),
    ]
    return "\n\n".join(paragraphs)


def _section(name: str, definition: Schema) -> str:
    paragraphs = [f"## {name}", definition.get("description", "")]
    required = definition.get("required", [])
    rows = [
        _row(field, content, is_optional=field not in required)
        for field, content in definition.get("properties", {}).items()
    ]
    table = ["| field | type | unit | meaning |", "|---|---|---|---|", *rows]
    return "\n\n".join([*filter(None, paragraphs), "\n".join(table)])


def _row(field: str, content: Schema, *, is_optional: bool) -> str:
    kind = _kind(content) + ", optional" * is_optional
    cells = [f"`{field}`", kind, UNITS.get(field.rpartition("_")[2], ""), content.get("description", "")]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _stages() -> str:
    rows = [f"| `{stage.name}` | {stage.meaning} |" for stage in STAGES]
    return "\n".join(["## The stages of `timeline`", "", "| stage | the seconds of |", "|---|---|", *rows])


def _kind(content: Schema) -> str:
    """The type of a value in words."""
    match content:
        case {"$ref": reference}:
            return _link(reference.rpartition("/")[2])
        case {"anyOf": kinds}:
            return " or ".join(map(_kind, kinds))
        case {"enum": values}:
            return "one of " + ", ".join(f"`{json.dumps(value)}`" for value in values)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_member(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"object of {_member(values)}"
        case {"type": kind}:
            return str(kind) + _bounds(content)
    return "anything"


def _member(content: Schema) -> str:
    return f"({_kind(content)})" if "anyOf" in content else _kind(content)


def _bounds(content: Schema) -> str:
    """Those of a number, without the largest that a float can hold."""
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    bounds = {text: content[key] for key, text in words.items() if key in content}
    return "".join(f", {text} {bound:g}" for text, bound in bounds.items() if abs(bound) < sys.float_info.max)


def _link(name: str) -> str:
    return f"[{name}](#{re.sub(r'[^a-z0-9-]', '', name.lower())})"


def main() -> None:
    MARKDOWN.write_text(make_markdown(FILES), "utf-8")
    SCHEMA.write_text(json.dumps(make_schema(FILES), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
