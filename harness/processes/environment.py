"""The environment of a worker: the user's, but for what chooses mathematics, an engine, processors or devices."""

from __future__ import annotations

import os

from backends import Backend
from harness.machine import visible_gpus
from harness.machine.provenance import PROJECT
from harness.machine.variables import WITHHELD

LOOPBACK = "127.0.0.1,localhost,::1"
BLAS_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def make_environment(backend: Backend, device: str, threads: int, gpu: int | None) -> dict[str, str]:
    """Ours, with threads, devices and GPU memory policy set before any framework is imported. gpu is the number, among
    those that we may see, of the one GPU that the process may; None for all."""
    numbers = dict.fromkeys((*BLAS_THREAD_VARIABLES, *backend.thread_variables), str(threads))
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    # Keras computes with TensorFlow in float32 here, whatever its user has it do elsewhere: below /dev/null it neither
    # finds nor leaves a keras.json.
    engine = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull}
    # Ranks meet on this machine, not at a proxy.
    direct = {name: ",".join(filter(None, [os.environ.get(name), LOOPBACK])) for name in ("no_proxy", "NO_PROXY")}
    hidden = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"} if device == "cpu" else {}
    seen = {"CUDA_VISIBLE_DEVICES": _visible_gpu(gpu)} if gpu is not None else {}
    ours = {name: value for name, value in os.environ.items() if not WITHHELD.fullmatch(name)}
    return {**ours, **numbers, **_python(), **quiet, **engine, **direct, **backend.gpu_variables, **seen, **hidden}


def _python() -> dict[str, str]:
    """The worker imports this suite, then what is installed, and what lies in the current folder after both: a folder
    `torch` there is not PyTorch. The worker itself puts the current folder last."""
    current = os.path.realpath(os.curdir)
    chosen = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.realpath(path) != current]
    paths = os.pathsep.join([str(PROJECT), *chosen])
    # What a worker that is killed had printed is to be in its log.
    return {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def _visible_gpu(number: int) -> str:
    """The GPU of this number among those that we may see; none where all are hidden."""
    names = visible_gpus(number + 1)
    return names[number % len(names)] if names else ""
