"""What launchers say, read and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.environment.software import describe_variables
from harness.launch import Launch, expand_counts, first_node, read_launch
from harness.presets import ConfigurationError
from harness.process import Resources, worker_environment
from harness.selection import check_ranks, select

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "node-a", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_NODELIST": "node[07-09]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "1234",
    "SLURM_STEP_ID": "0",
}


def tf_config(kind: str = "worker", index: Any = 1, **cluster: list[str]) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_torchrun_tells_rank_and_place() -> None:
    assert read_launch(TORCHRUN) == Launch("torchrun", 3, 4, "node-a", 29500)
    local = {**TORCHRUN, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert read_launch(local) == Launch("torchrun", 3, 4, "node-a", 29500, 1, 2)


def test_the_port_that_torchrun_listens_on_is_left_to_it() -> None:
    agent = {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    assert read_launch({**TORCHRUN, **agent}).port == 29501
    assert read_launch({**TORCHRUN, **agent, "MASTER_PORT": "65535"}).port == 65534


def test_tf_config_tells_rank_and_who_shares_a_machine() -> None:
    launch = read_launch(tf_config(worker=["a:2222", "b:2222", "b:2223"], index=2))
    assert launch == Launch("TF_CONFIG", 2, 3, "a", 2222, local_rank=1, n_local=2)


def test_the_chief_of_a_tf_config_is_the_first_rank() -> None:
    cluster = {"chief": ["c:1"], "worker": ["[fd00::1]:2", "b:3"]}
    assert read_launch(tf_config("chief", 0, **cluster)).rank == 0
    assert read_launch(tf_config("worker", "1", **cluster)) == Launch("TF_CONFIG", 2, 3, "c", 1)


def test_slurm_tells_rank_and_first_node() -> None:
    launch = read_launch(SLURM)
    assert launch == Launch("Slurm", 3, 5, "node07", launch.port, local_rank=1, n_local=2)
    assert 20000 <= launch.port < 30000
    assert read_launch({**SLURM, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}).port == launch.port
    assert read_launch({**SLURM, "SLURM_STEP_ID": "1"}).port != launch.port
    assert read_launch({**SLURM, "MASTER_PORT": "4000"}).port == 4000


def test_the_more_particular_launcher_is_believed() -> None:
    assert read_launch({**SLURM, **TORCHRUN}).launcher == "torchrun"
    assert read_launch({**TORCHRUN, **tf_config(worker=["a:1", "b:1"])}).launcher == "TF_CONFIG"
    # Batch scripts set the address and the port for others, which is no launcher yet.
    assert read_launch({**SLURM, "MASTER_ADDR": "node-a"}).launcher == "Slurm"


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("node01", "node01"),
        ("node[01-03,07]", "node01"),
        ("gpu-[3,5],login", "gpu-3"),
        ("login,gpu-[3,5]", "login"),
        ("rack[2-3]node[007-009].cluster", "rack2node007.cluster"),
        ("a-b.example.org,c", "a-b.example.org"),
    ],
)
def test_the_first_of_slurms_nodes(nodes: str, expected: str) -> None:
    assert first_node(nodes) == expected


@pytest.mark.parametrize("nodes", ["", ",a", "node[", "node[]", "node[01-03", "a b", "(null)"])
def test_what_is_no_list_of_nodes(nodes: str) -> None:
    with pytest.raises(ConfigurationError, match="SLURM_STEP_NODELIST is malformed"):
        first_node(nodes)


def test_slurms_counts() -> None:
    assert expand_counts("2(x3),1") == [2, 2, 2, 1]
    assert expand_counts("4") == [4]
    for text in ("", "2(x", "2,,1", "x3"):
        with pytest.raises(ConfigurationError, match="malformed"):
            expand_counts(text)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "no launcher was found: neither TF_CONFIG, nor RANK and WORLD_SIZE with MASTER_ADDR"),
        ({"RANK": "0"}, "of torchrun's variables, MASTER_ADDR is not set"),
        ({**TORCHRUN, "RANK": ""}, "RANK is not set"),
        ({**TORCHRUN, "WORLD_SIZE": "four"}, "WORLD_SIZE is 'four', not a whole number"),
        ({**TORCHRUN, "RANK": "4"}, "torchrun: the rank is 4, of 4"),
        ({**TORCHRUN, "MASTER_PORT": "70000"}, "the port is 70000; allowed are 1 to 65535"),
        ({**TORCHRUN, "LOCAL_RANK": "2"}, "the rank on this machine is 2, of 1"),
        (
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"},
            "this is a Slurm job but no step of it; start the ranks with srun",
        ),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "2"}, "5 tasks, [2] on each node, and this is node 1"),
        ({"TF_CONFIG": "{"}, "TF_CONFIG is malformed: JSONDecodeError"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG is malformed: TypeError"),
        ({"TF_CONFIG": '{"cluster": {}}'}, "TF_CONFIG is malformed: KeyError: 'task'"),
        (tf_config(worker=["a", "b:1"]), "TF_CONFIG is malformed: ValueError: 'a' is no HOST:PORT"),
        (tf_config(worker=["a:1"]), "TF_CONFIG: it has no worker 1"),
        (tf_config("ps", 0, ps=["a:1"], worker=["b:1"]), "a task of type 'ps' trains nothing"),
    ],
)
def test_what_is_missing_contradictory_or_malformed_is_one_line(variables: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_launch(variables)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


OPTIONS: dict[str, Any] = {
    "backends": "reference",
    "implementation": "all",
    "preset": "quick",
    "overrides": (),
    "precision": "float32",
    "device": "cpu",
    "threads": 1,
    "ranks": "launcher",
}


@pytest.mark.parametrize("others", [{"resume": "results/x"}, {"cluster": "local"}, {"sweeps": ("batch=2",)}])
def test_what_a_launcher_is_not_for(others: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=r"--ranks launcher"):
        select({**OPTIONS, **others})


def test_the_launchers_ranks_have_to_divide_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    selection = select(OPTIONS)
    assert (selection.ranks, selection.resources.ranks) == (4, 1)
    check_ranks(selection, on_cluster=False)
    with pytest.raises(ConfigurationError, match=r"--ranks 4 do not divide train.batch = 6"):
        select({**OPTIONS, "overrides": ("train.batch=6",)})


def test_workers_are_not_told_what_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {**TORCHRUN, **tf_config(worker=["a:1"]), "TORCHELASTIC_USE_AGENT_STORE": "True", "LOCAL_RANK": "0"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    from backends import BACKENDS

    assert not {*told} & {*worker_environment(BACKENDS["reference"], Resources("cpu"))}


@pytest.mark.parametrize(("visible", "gpu", "expected"), [("", 1, "1"), ("4,6", 1, "6"), ("4", 1, "4")])
def test_a_rank_takes_a_gpu_of_those_that_it_may_see(
    visible: str, gpu: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends import BACKENDS

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    seen = worker_environment(BACKENDS["reference"], Resources("cuda", gpu=gpu))["CUDA_VISIBLE_DEVICES"]
    assert seen == expected


def test_addresses_are_no_part_of_the_environment_that_is_recorded() -> None:
    private = {**TORCHRUN, **SLURM, **tf_config(worker=["a:1"]), "JAX_COORDINATOR_ADDRESS": "a:1"}
    assert describe_variables({**private, "TF_CPP_MIN_LOG_LEVEL": "2"}) == {"TF_CPP_MIN_LOG_LEVEL": "2"}
