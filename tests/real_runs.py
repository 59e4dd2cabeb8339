"""Runs that many tests look at, each made once: copy the folder before you change it."""

from __future__ import annotations

import pytest

from tests.command import SMALL, Finished, harness

# Of each backend that misbehaves, the status and a pattern of the reason.
FAULTS = {
    "raising": ("failed", "RuntimeError: the third layer is on fire; its log ends: about to raise"),
    "leaving": ("failed", "SystemExit: I have had enough"),
    "killed": ("killed", r"killed by signal 9 \(SIGKILL\)"),
    "crashing": ("killed", r"killed by signal 11 \(SIGSEGV\).*"),
    "silent": ("failed", "exited with status 3 without a result"),
    "hanging_up": ("failed", "it closed its answers without a result"),
    "starving": ("out_of_memory", "MemoryError: cannot allocate 3 TiB; its log ends: allocating"),
    "hungry": ("out_of_memory", "MemoryError: Unable to allocate 8.00 GiB for an array.*"),
    "garbling": ("failed", "the worker sent a malformed message: [^;]+"),
    "forging": ("failed", "a malformed record: lstm.0.bias: this parameter is missing"),
    "oversized": (
        "failed",
        "the worker sent a malformed message: ValueError its first line is longer than 67108864 bytes",
    ),
    "misshapen": ("failed", r"a malformed record: output.bias: its shape is \(9,\), not \(8,\)"),
    "poisoned": ("failed", "a malformed record: output.bias: it holds a value that is not finite"),
    "forgetful": ("failed", r"ValueError: losses of shape \(0,\) for 3 steps"),
    "chatty": ("failed", r"it printed more than 67108864 bytes; its log ends: as I was saying \| as.*"),
    "writing": ("failed", r"OSError: \[Errno 28\] No space left on device"),
    "diverging": ("diverged", "the loss is nan at step 7"),
    "doubtful": ("diverged", "the predictions are not finite.*"),
    "unable": ("unsupported", "no float32 on a full moon"),
    "unimportable": ("failed", "ImportError: libdragons.so.7: cannot open shared object file"),
    "bursting": ("killed", r"killed by signal 6 \(SIGABRT\); its log ends: loading libdragons.*"),
    "noisy": ("failed", r"RuntimeError: ../../etc \| <img src=x onerror=alert\(2\)>; its log ends: red.*"),
    "no_such_package.backend": ("not_installed", "no_such_package is not installed"),
}
# Trained to the end, whatever they do besides.
GOOD = ("linear", "talkative", "untimely", "weighty")


@pytest.fixture(scope="session")
def faulty_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of every fault, and of backends that train to the end all the same."""
    folder = tmp_path_factory.mktemp("runs") / "faulty"
    names = ",".join([*FAULTS, *GOOD])
    return Finished(harness("run", "--backend", names, *SMALL, "--timeout", "60", "--out", folder), folder)


@pytest.fixture(scope="session")
def reference_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of the NumPy reference in which nothing goes wrong, with JSON for its answer."""
    folder = tmp_path_factory.mktemp("runs") / "reference"
    return Finished(
        harness("run", "--backend", "reference", "--repeats", "2", *SMALL, "--out", folder, "--json"), folder
    )
