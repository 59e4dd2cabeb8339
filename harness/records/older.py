"""Runs of earlier versions as version 3 has them; the only place that knows how those differed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What version 3 took out of a run's configuration: section and key.
REMOVED = (("train", "epoch_steps"), ("train", "stop_at_loss"))
# What version 3 calls otherwise, in records and configurations alike.
RENAMED = {"seed_loss": "original_loss", "seed_loss_floor": "original_loss_floor"}
NO_CEILING = "this run timed the products of its own frameworks alone, one way each, which is no ceiling of the machine"


def modernise(content: Mapping[str, Any], version: int) -> dict[str, Any]:
    """A copy of a run.json or a record that a run of `version` has written, as version 3 would have written it."""
    if version >= 3:
        return dict(content)
    modern = {key: _modernise(key, value) for key, value in content.items()}
    if modern.get("preset") == "seed":
        modern["preset"] = "original"
    evaluate = (modern.get("configuration") or {}).get("evaluate")
    if modern.get("preset") == "throughput" and isinstance(evaluate, dict):
        evaluate["learning"] = False
    return modern


def _modernise(key: str, value: Any) -> Any:
    if key == "configuration" and isinstance(value, dict):
        value = {section: _without_removed(section, keys) for section, keys in value.items()}
    return _rename(value)


def _without_removed(section: str, keys: Any) -> Any:
    return {k: v for k, v in keys.items() if (section, k) not in REMOVED} if isinstance(keys, dict) else keys


def _rename(value: Any) -> Any:
    if isinstance(value, dict):
        return {RENAMED.get(key, key): _rename(part) for key, part in value.items()}
    return [_rename(part) for part in value] if isinstance(value, list) else value
