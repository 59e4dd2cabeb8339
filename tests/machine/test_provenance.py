"""Which code a verdict is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends import Backend
from harness.machine.provenance import code_digest, suite_digest


@pytest.mark.parametrize("file", ["lone_backend.py", "lone_backend/__init__.py", "lone_backend/deeper/module.py"])
def test_a_backends_own_code_is_in_the_digest_be_it_a_package_or_one_file(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    backend = Backend("lone", {"idiomatic": "lone_backend"}, ())
    before = code_digest(backend)
    path.write_text("# Changed.\n")
    assert len({before, code_digest(backend), suite_digest()}) == 3
