"""What a launcher says in the environment: which of how many ranks this process is, and where the first one is."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.presets import ConfigurationError

# The word for --ranks.
LAUNCHER = "launcher"
# Workers are told by us where they meet. Frameworks read these as well, and would look for the launcher's own.
WITHHELD = re.compile(
    r"TF_CONFIG|(GROUP_|LOCAL_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_\w+"
)
# Below the ports that systems hand out by themselves.
FIRST_PORT, N_PORTS = 20000, 10000
LARGEST_PORT = 65535


@dataclass(frozen=True)
class Launch:
    """This process' place among `size` ranks that `launcher` started; n_local of them are on this machine, and this is
    the local_rank-th of those. The first rank listens at host and port."""

    launcher: str
    rank: int
    size: int
    host: str
    port: int
    local_rank: int = 0
    n_local: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ConfigurationError(f"{self.launcher}: the rank is {self.rank}, of {self.size}")
        if not 0 <= self.local_rank < self.n_local <= self.size:
            raise ConfigurationError(
                f"{self.launcher}: the rank on this machine is {self.local_rank}, of {self.n_local}, of {self.size}"
            )
        if not 0 < self.port <= LARGEST_PORT:
            raise ConfigurationError(f"{self.launcher}: the port is {self.port}; allowed are 1 to {LARGEST_PORT}")


def read_launch(variables: Mapping[str, str]) -> Launch:
    """Raises ConfigurationError where no launcher is found, and where what it says is contradictory or malformed."""
    if variables.get("TF_CONFIG"):
        return _read_tf_config(variables["TF_CONFIG"])
    if "RANK" in variables or "WORLD_SIZE" in variables:
        return _read_torchrun(variables)
    if "SLURM_STEP_NODELIST" in variables:
        return _read_slurm(variables)
    if "SLURM_PROCID" in variables:
        raise ConfigurationError("--ranks launcher: this is a Slurm job but no step of it; start the ranks with srun")
    raise ConfigurationError(
        "--ranks launcher: no launcher was found: neither TF_CONFIG, nor RANK and WORLD_SIZE with MASTER_ADDR and"
        " MASTER_PORT, nor SLURM_PROCID with SLURM_STEP_NODELIST is set"
    )


def _read_tf_config(text: str) -> Launch:
    """The chief is the first rank, where there is one; the workers follow."""
    try:
        content = json.loads(text)
        cluster, task = content["cluster"], content["task"]
        chiefs, workers = list(cluster.get("chief", [])), list(cluster.get("worker", []))
        kind, index = task["type"], int(task["index"])
        addresses = [_split_address(address) for address in [*chiefs, *workers]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"TF_CONFIG is malformed: {type(error).__name__}: {error}") from None
    if kind not in ("chief", "worker"):
        raise ConfigurationError(f"TF_CONFIG: a task of type {kind!r} trains nothing; allowed: chief, worker")
    if not 0 <= index < len(chiefs if kind == "chief" else workers):
        raise ConfigurationError(f"TF_CONFIG: it has no {kind} {index}")
    rank = index + (len(chiefs) if kind == "worker" else 0)
    local = [each for each, (host, _) in enumerate(addresses) if host == addresses[rank][0]]
    host, port = addresses[0]
    return Launch("TF_CONFIG", rank, len(addresses), host, port, local.index(rank), len(local))


def _split_address(address: Any) -> tuple[str, int]:
    host, _, port = str(address).rpartition(":")
    if not host:
        raise ValueError(f"{address!r} is no HOST:PORT")
    return host.strip("[]"), int(port)


def _read_torchrun(variables: Mapping[str, str]) -> Launch:
    read = _Reader("torchrun's variables", variables)
    host, port = read.text("MASTER_ADDR"), read.number("MASTER_PORT")
    # There torchrun itself listens; others who set the same variables leave the port to the first rank.
    if variables.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        port += 1 if port < LARGEST_PORT else -1
    local_rank, n_local = read.number("LOCAL_RANK", 0), read.number("LOCAL_WORLD_SIZE", 1)
    return Launch("torchrun", read.number("RANK"), read.number("WORLD_SIZE"), host, port, local_rank, n_local)


def _read_slurm(variables: Mapping[str, str]) -> Launch:
    read = _Reader("Slurm's variables", variables)
    size = read.number("SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in variables else "SLURM_NTASKS")
    step = f"{read.text('SLURM_JOB_ID')}.{variables.get('SLURM_STEP_ID', '0')}"
    port = read.number("MASTER_PORT", FIRST_PORT + zlib.crc32(step.encode()) % N_PORTS)
    n_local = 1
    if "SLURM_STEP_TASKS_PER_NODE" in variables:
        counts = expand_counts(variables["SLURM_STEP_TASKS_PER_NODE"])
        node = read.number("SLURM_NODEID", 0)
        if not 0 <= node < len(counts) or sum(counts) != size:
            raise ConfigurationError(f"Slurm's variables: {size} tasks, {counts} on each node, and this is node {node}")
        n_local = counts[node]
    host = first_node(variables["SLURM_STEP_NODELIST"])
    return Launch("Slurm", read.number("SLURM_PROCID"), size, host, port, read.number("SLURM_LOCALID", 0), n_local)


def first_node(nodes: str) -> str:
    """Of a list as Slurm writes it, the first: of "gpu[01-03,07],login" that is gpu01. The first rank runs there,
    whether tasks are dealt out in blocks or in turn. Raises ConfigurationError."""
    first = re.match(r"(?:[^\[\],]|\[[^\[\]]*\])+(?=,|$)", nodes)
    name = re.sub(r"\[(\w+)[^\]]*\]", r"\1", first.group()) if first else ""
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConfigurationError(f"SLURM_STEP_NODELIST is malformed: {nodes!r}")
    return name


def expand_counts(text: str) -> list[int]:
    """Numbers as Slurm writes them: "2(x3),1" is 2, 2, 2, 1. Raises ConfigurationError."""
    counts: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if not found:
            raise ConfigurationError(f"SLURM_STEP_TASKS_PER_NODE is malformed: {text!r}")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts


@dataclass(frozen=True)
class _Reader:
    """Variables that have to be there, or have to be numbers."""

    whose: str
    variables: Mapping[str, str]

    def text(self, name: str) -> str:
        if not self.variables.get(name):
            raise ConfigurationError(f"--ranks launcher: of {self.whose}, {name} is not set")
        return self.variables[name]

    def number(self, name: str, default: int | None = None) -> int:
        if default is not None and name not in self.variables:
            return default
        text = self.text(name)
        if not text.isdecimal():
            raise ConfigurationError(f"--ranks launcher: {name} is {text!r}, not a whole number")
        return int(text)
