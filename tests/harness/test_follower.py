"""Ranks that a launcher starts, with real processes: two of the same command, with the variables of each launcher."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import Marked, ends

from backends import BACKENDS
from harness.config import RunConfig
from harness.driver import hide_hosts
from harness.launch import Launch
from harness.link import free_port, join_address, make_group, plain_host
from harness.plan import Cell
from harness.process import Resources
from harness.runner import run_cell
from tests.frameworks import marks

pytestmark = pytest.mark.usefixtures("fake_backends")

PROJECT = Path(__file__).parents[2]
SMALL = {"model.hidden": 8, "model.layers": 1, "train.steps": 12, "train.chunk": 4, "train.batch": 6}
SMALL |= {"task.max_length": 3, "evaluate.sequences": 5, "evaluate.test_batches": 1}
Start = Callable[..., "subprocess.Popen[str]"]
LAUNCHERS = re.compile(r"RANK|WORLD_SIZE|MASTER_\w+|LOCAL_\w+|TF_CONFIG|SLURM_\w+|TORCHELASTIC_\w+")


def torchrun(rank: int, port: int) -> dict[str, str]:
    local = {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
    return {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), **local}


def slurm(rank: int, port: int) -> dict[str, str]:
    tasks = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    nodes = {"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2"}
    return {**tasks, **nodes, "SLURM_JOB_ID": str(port), "SLURM_STEP_ID": "0"}


def tf_config(rank: int, port: int) -> dict[str, str]:
    cluster = {"worker": [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": rank}})}


def start_task(variables: Mapping[str, str], backends: str, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """A task of the launcher's: the same command for every rank, in the same folder."""
    inherited = {name: value for name, value in os.environ.items() if not LAUNCHERS.fullmatch(name)}
    paths = os.pathsep.join([str(PROJECT), os.environ["PYTHONPATH"]])
    options = ["--ranks", "launcher", "--backend", backends, "--implementation", "idiomatic", "--out", "run"]
    options += ["--device", "cpu", "--threads", "1"]
    options += [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    return subprocess.Popen(
        [sys.executable, "-m", "harness", "run", *options, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**inherited, **variables, "PYTHONPATH": paths, "COLUMNS": "80"},
    )


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts tasks of a launcher's, none of which outlives the test."""
    tasks: list[subprocess.Popen[str]] = []

    def start_one(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        tasks.append(start_task(*arguments, **options))
        return tasks[-1]

    yield start_one
    for task in tasks:
        with task:
            task.kill()


def finish(task: subprocess.Popen[str]) -> tuple[int, str]:
    output, errors = task.communicate(timeout=250)
    assert "Traceback" not in output + errors, output + errors
    return task.returncode, output + errors


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def record(folder: Path, backend: str) -> dict[str, Any]:
    return read(folder / "run" / "cells" / f"{backend}-idiomatic-float32-seed0-r0.json")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("launcher", "variables", "name"),
    [
        pytest.param("torchrun", torchrun, "torch", marks=marks(BACKENDS["torch"])),
        pytest.param("Slurm", slurm, "torch", marks=marks(BACKENDS["torch"])),
        pytest.param("TF_CONFIG", tf_config, "tensorflow", marks=marks(BACKENDS["tensorflow"])),
    ],
)
def test_tasks_of_a_launcher_train_as_one_process_does(
    launcher: str, variables: Callable[[int, int], dict[str, str]], name: str, tmp_path: Path, start: Start
) -> None:
    port = free_port()
    driver, follower = (start(variables(rank, port), name, cwd=tmp_path) for rank in (0, 1))
    (status, said), (status_too, said_too) = finish(driver), finish(follower)
    assert (status, status_too) == (0, 0), said + said_too
    assert said_too == f"{name}-idiomatic-float32-seed0-r0: rank 1: ok\n"
    assert os.listdir(tmp_path) == ["run"]
    run, trained = read(tmp_path / "run" / "run.json"), record(tmp_path, name)
    together = {"ranks": 2, "launcher": launcher, "ranks_here": 2}
    assert run["resources"] == {"device": "cpu", "threads": 1, **together}
    assert trained["ranks"] == 2
    cell = Cell(BACKENDS[name], "idiomatic", "float32", 0, 0)
    config = RunConfig.from_dict(run["configuration"])
    alone = run_cell(cell, config, Resources("cpu", 1, 250.0), tmp_path / "alone.log", lambda _: None)
    np.testing.assert_allclose(trained["losses"], alone.body["losses"], rtol=1e-5)
    for path in (tmp_path / "run").rglob("*.json"):
        assert not re.search(r"localhost|127\.0\.0\.1|MASTER_|SLURM_", path.read_text(encoding="utf-8")), path


def test_a_rank_that_never_comes_is_a_row_in_time_and_one_of_another_command_is_refused(
    tmp_path: Path, start: Start
) -> None:
    port, name = free_port(), "fake_backends.together"
    driver = start(torchrun(0, port), name, "--timeout", "8", cwd=tmp_path)
    other = start(torchrun(1, port), name, "--timeout", "8", "--seeds", "1", cwd=tmp_path)
    status, said = finish(other)
    assert (status, said.count("\n")) == (2, 1)
    assert "rank 1: it was given another command than the first rank, or has other code or versions" in said
    assert finish(driver)[0] == 1
    row = record(tmp_path, name)
    assert (row["status"], row["reason"]) == ("timeout", "rank 1 did not arrive within 8 s")


def test_a_fault_of_another_rank_is_the_cells_and_both_go_on(tmp_path: Path, start: Start) -> None:
    port, names = free_port(), ["fake_backends.deserting", "fake_backends.together", "fake_backends.linear"]
    driver, follower = (start(torchrun(rank, port), ",".join(names), cwd=tmp_path) for rank in (0, 1))
    (status, _), (status_too, said_too) = finish(driver), finish(follower)
    assert (status, status_too) == (1, 0)
    rows = [record(tmp_path, name) for name in names]
    assert [row["status"] for row in rows] == ["killed", "ok", "unsupported"]
    assert rows[0]["reason"] == "rank 1: killed by signal 9 (SIGKILL)"
    assert rows[1]["settings"]["group_size"] == 2
    assert "this backend trains in one process" in rows[2]["reason"]
    assert "deserting-idiomatic-float32-seed0-r0: rank 1: killed: killed by signal 9 (SIGKILL)\n" in said_too
    assert said_too.count("\n") == 3


@pytest.mark.parametrize("lost", [0, 1])
def test_what_a_task_that_is_lost_leaves(lost: int, tmp_path: Path, start: Start) -> None:
    marked = Marked()
    port, name = free_port(), "fake_backends.stranded"
    tasks = [start({**torchrun(rank, port), marked.variable: "1"}, name, cwd=tmp_path) for rank in (0, 1)]
    log = tmp_path / "run" / "logs" / f"{name}-idiomatic-float32-seed0-r0.log"
    # Two tasks, and for each a worker with its guard.
    assert ends(lambda: log.exists() and len(marked.pids()) >= 6)
    tasks[lost].kill()
    status, said = finish(tasks[1 - lost])
    assert status == 1
    if lost:
        assert record(tmp_path, name)["reason"] == "rank 1: its task is gone"
    else:
        assert said == "rank 1: the first rank is gone: it has closed the connection\n"
    finish(tasks[lost])
    assert ends(lambda: not marked.pids())


def test_without_a_launcher_it_is_one_line_and_nothing_is_written(tmp_path: Path, start: Start) -> None:
    status, said = finish(start({}, "reference", cwd=tmp_path))
    assert (status, said.count("\n"), os.listdir(tmp_path)) == (2, 1, [])
    assert "no launcher was found" in said


def test_a_port_that_is_taken_is_one_line_and_nothing_is_written(tmp_path: Path, start: Start) -> None:
    from harness.link import listen

    with listen(0) as taken:
        status, said = finish(start(torchrun(0, taken.getsockname()[1]), "reference", cwd=tmp_path))
    assert (status, said.count("\n"), os.listdir(tmp_path)) == (2, 1, [])
    assert "cannot be listened on: Address already in use" in said


def test_each_rank_knows_the_first_by_a_name_of_its_own() -> None:
    addresses = [":7", "10.0.0.2:8", ":9"]
    group = make_group(Launch("torchrun", 1, 3, "node-a", 4), addresses)
    assert (group["rank"], group["addresses"]) == (1, ["node-a:7", "10.0.0.2:8", "node-a:9"])
    assert join_address(plain_host("::ffff:10.0.0.2"), 8) == "10.0.0.2:8"
    assert join_address(plain_host("fd00::1%eth0"), 8) == "[fd00::1%eth0]:8"


def test_no_hosts_name_is_in_what_is_kept() -> None:
    text = "no answer from node07.cluster:2222 (10.0.0.2), node07, node070 and 10.0.0.25"
    hidden = hide_hosts(text, ["node07.cluster", "10.0.0.2"])
    assert hidden == "no answer from HOST:2222 (HOST), HOST, node070 and 10.0.0.25"
