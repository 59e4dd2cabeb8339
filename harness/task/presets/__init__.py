"""Recipes as TOML: read, overridden key by key, and refused in one line where they are wrong."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from harness.task.one_line import one_line
from harness.task.recipe import RunConfig

FOLDER = Path(__file__).parent


class ConfigurationError(ValueError):
    """A recipe or an option that cannot be used; its text is one line: what was wrong and what is allowed."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


def suggest(name: str, allowed: Iterable[str], prefix: str = "") -> str:
    """A question that names what is nearest to an unknown name, with a space after it; empty where nothing is near."""
    close = difflib.get_close_matches(name, list(allowed), 1)
    return f"did you mean {prefix}{close[0]}? " if close else ""


def preset_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_preset(name: str, overrides: Iterable[str] = ()) -> RunConfig:
    """The recipe called `name`, or in the file `name` if that ends in .toml, with overrides "section.key=value".

    Raises ConfigurationError.
    """
    sections = _read(name)
    for override in overrides:
        _override(sections, override)
    return convert(sections)


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in preset_names():
        hint = suggest(name, preset_names())
        raise ConfigurationError(f"unknown preset {name!r}; {hint}allowed: {', '.join(preset_names())}, or a FILE.toml")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"preset file {name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"preset file {name} is not TOML: {error}") from None


def _override(sections: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    section, dot, key = path.strip().partition(".")
    if not equals or not dot or not key:
        raise ConfigurationError(f"--set {override!r} is not of the form section.key=value")
    values = sections.setdefault(section, {})
    if isinstance(values, dict):
        values[key] = _parse_value(text.strip())


def _parse_value(text: str) -> Any:
    """A TOML value, or a bare word as the string it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def convert(sections: dict[str, Any]) -> RunConfig:
    """The recipe of the sections, with defaults for what they leave out. Raises ConfigurationError."""
    _refuse_unknown("section", sections, [field.name for field in dataclasses.fields(RunConfig)])
    for name, kind in get_type_hints(RunConfig).items():
        values = sections.setdefault(name, {})
        if not isinstance(values, dict):
            raise ConfigurationError(f"{name} must be a section of keys, not {values!r}")
        _refuse_unknown("key", values, [field.name for field in dataclasses.fields(kind)], f"{name}.")
    try:
        config = msgspec.convert(sections, RunConfig)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(_place_first(error)) from None
    # Made anew, since msgspec leaves defaults to the class, where neither vars nor a file would find them.
    return RunConfig(**{name: dataclasses.replace(getattr(config, name)) for name in sections})


def _refuse_unknown(what: str, given: dict[str, Any], allowed: list[str], prefix: str = "") -> None:
    for name in given:
        if name not in allowed:
            hint = suggest(name, allowed, prefix)
            raise ConfigurationError(f"unknown {what} {prefix}{name}; {hint}allowed: {', '.join(allowed)}")


def _place_first(error: Exception) -> str:
    """msgspec's text with its path `$.section.key` in front."""
    text, _, path = str(error).partition(" - at `$.")
    if not path or text.startswith(path.split(".")[0].rstrip("`")):
        return text
    return f"{path.rstrip('`')}: {text[0].lower()}{text[1:]}"
