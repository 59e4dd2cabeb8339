"""What cannot be connected to: one line, exit status 2, nothing written. And what is written of an address: nothing."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.processes.cluster import hide_address
from harness.processes.cluster.messages import NodeMaking, pack, unpack
from harness.processes.process import Outcome
from harness.records.messages import ProtocolError, Timed
from harness.records.structs import LoadAverage, Making
from tests.command import invoke

HAS_RAY = importlib.util.find_spec("ray") is not None


def needs_ray(test: Any) -> Any:
    absent = pytest.mark.skipif(not HAS_RAY, reason="ray is not installed; pip install '.[cluster]' installs it")
    return pytest.mark.cluster(absent(test))


def refuse(folder: Path, *arguments: str) -> str:
    """The one line that such a run is refused with."""
    result = invoke("run", "--backend", "reference", "--out", folder, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert not [*folder.parent.iterdir()]
    [line] = result.stderr.splitlines()
    return line


def test_without_the_extra_its_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def find_all_but_ray(name: str, *others: Any) -> Any:
        return None if name == "ray" else find_spec(name, *others)

    monkeypatch.setattr(importlib.util, "find_spec", find_all_but_ray)
    line = refuse(tmp_path / "run", "--cluster", "local")
    assert line == "Error: --cluster needs Ray, which is not installed; pip install '.[cluster]' installs it"


@needs_ray
@pytest.mark.parametrize("address", ["somewhere", "ray://somewhere:10001", "somewhere:0", "some where:1", ":6379"])
def test_what_is_no_address_is_refused_with_what_is_allowed(address: str, tmp_path: Path) -> None:
    line = refuse(tmp_path / "run", "--cluster", address)
    assert line.startswith(f"Error: --cluster {address!r}: allowed: local, or HOST:PORT")


@needs_ray
def test_an_address_where_nothing_is_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    line = refuse(tmp_path / "run", "--cluster", f"127.0.0.1:{port}")
    assert "nothing can be reached there (Connection refused); allowed: local, or HOST:PORT" in line


@needs_ray
def test_an_address_that_is_not_rays_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.processes.cluster.connection.ANSWER_TIMEOUT_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = refuse(tmp_path / "run", "--cluster", f"127.0.0.1:{server.getsockname()[1]}")
    assert "what answers there is no Ray cluster that takes us; allowed:" in line


@needs_ray
def test_a_gpu_by_number_is_refused_on_a_cluster(tmp_path: Path) -> None:
    line = refuse(tmp_path / "run", "--cluster", "local", "--device", "cuda:1")
    assert "on a cluster Ray picks the GPU; allowed: auto, cpu, cuda" in line


def test_no_address_is_written() -> None:
    assert hide_address(["run", "--cluster", "10.0.0.1:6379", "-q"]) == ["run", "--cluster", "ADDRESS", "-q"]
    assert hide_address(["run", "--cluster=10.0.0.1:6379"]) == ["run", "--cluster=ADDRESS"]
    assert hide_address(["run", "--cluster", "local"]) == ["run", "--cluster", "local"]
    assert hide_address(["run", "--cluster=local"]) == ["run", "--cluster=local"]


def test_importing_the_command_line_loads_no_ray() -> None:
    imported = "harness.cli, harness.commands.run, harness.processes.cluster.on_node"
    code = f"import sys, {imported}; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_outcome_comes_back_whole_or_not_at_all() -> None:
    import numpy as np

    outcome = Outcome("ok", None, Timed([]), {"w": np.arange(6.0).reshape(2, 3)})
    making = NodeMaking(Making({"numpy": "2"}, "a processor"), LoadAverage(None, [0.5, 0.5, 0.5]))
    packed = pack(outcome, making)
    received, told = unpack(packed)
    assert (received.status, received.reason, received.body) == ("ok", None, outcome.body)
    np.testing.assert_array_equal(received.arrays["w"], outcome.arrays["w"])
    assert told == making
    for cut in (b"", packed[:10], packed[:-1]):
        with pytest.raises(ProtocolError):
            unpack(cut)
