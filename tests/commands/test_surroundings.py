"""The shell, the folder and the streams that a command starts with: they change no figure, and cause no traceback."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from backends import find_backend
from harness.machine import software
from harness.machine.variables import describe_variables, withheld_variables
from harness.processes.process import Resources, worker_environment
from harness.records import durable
from harness.records.folder import default_folder
from harness.records.structs import Verification
from tests.command import PROJECT, SMALL, Finished, command, environment, harness, invoke

WITHHELD = [
    ("JAX_ENABLE_X64", "1"),
    ("JAX_DEFAULT_MATMUL_PRECISION", "bfloat16"),
    ("JAX_COMPILATION_CACHE_DIR", "/tmp/cache"),
    ("JAX_DISABLE_JIT", "1"),
    ("NVIDIA_TF32_OVERRIDE", "1"),
    ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1"),
    ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
    ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2"),
    ("TF_USE_LEGACY_KERAS", "1"),
    ("OMP_PROC_BIND", "true"),
    ("OMP_PLACES", "{0}"),
    ("OMP_THREAD_LIMIT", "1"),
    ("GOMP_CPU_AFFINITY", "0"),
    ("KMP_AFFINITY", "compact"),
]


@pytest.mark.parametrize(("name", "value"), WITHHELD)
def test_what_chooses_mathematics_an_engine_or_processors_does_not_reach_a_worker(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert name not in worker_environment(find_backend("torch"), Resources("cpu"))
    assert name not in describe_variables()
    assert name in withheld_variables()


def test_what_tunes_a_library_is_handed_on_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS", "LD_PRELOAD"):
        monkeypatch.setenv(name, "set\udcff")
        assert worker_environment(find_backend("jax"), Resources("cpu"))[name] == "set\udcff"
        assert describe_variables()[name] == "set?"


def test_a_worker_neither_reads_nor_leaves_a_keras_json() -> None:
    home = worker_environment(find_backend("tensorflow"), Resources("cpu"))["KERAS_HOME"]
    with pytest.raises(OSError, match="Not a directory"):
        (Path(home) / "keras.json").read_bytes()


@pytest.fixture(scope="module")
def own_folder_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run from a folder that has a `numpy`, a `backends` and a backend of the reader's own, with a space, a letter
    that is not ASCII and a byte that is not UTF-8 in its name, in a log that can hold ASCII alone."""
    folder = tmp_path_factory.mktemp("a place für runs")
    for name in ("numpy", "backends"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('this is not the one')")
    (folder / "mine").mkdir()
    (folder / "mine" / "backend.py").write_text("from backends.reference import *\n")
    options = {"PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}
    options |= {"PYTHONPATH": os.pathsep.join(["", os.environ["PYTHONPATH"], str(PROJECT)]), "OMP_PLACES": "{0}"}
    finished = subprocess.run(
        command("run", "--backend", "mine.backend", "--threads", 1, *SMALL, "--out", "my rün \udcff"),
        capture_output=True,
        encoding="ascii",
        cwd=folder,
        env=environment() | options,
        timeout=500,
    )
    return Finished(finished, folder / "my rün \udcff")


def test_a_folder_of_ones_own_hides_neither_this_suite_nor_what_is_installed(own_folder_run: Finished) -> None:
    assert own_folder_run.process.returncode == 0, own_folder_run.process.stderr
    assert (own_folder_run.folder / "report.html").is_file()


def test_a_log_in_ascii_has_plain_lines_that_say_what_was_withheld(own_folder_run: Finished) -> None:
    assert "\x1b" not in own_folder_run.process.stdout
    assert "my r?n ?" in own_folder_run.process.stdout
    assert "Environment variables that workers are not handed: OMP_PLACES." in own_folder_run.process.stdout


def test_a_name_that_is_not_utf_8_is_read_and_written(own_folder_run: Finished, tmp_path: Path) -> None:
    folder, out = own_folder_run.folder, tmp_path / "\udcff"
    assert json.loads((folder / "run.json").read_text())["command"].endswith("'my rün ?'")
    compared = harness("compare", folder, folder, "--out", out)
    assert compared.returncode == 0, compared.stderr
    assert "my rün ?" in (out / "comparison.md").read_text()


def read_until_closed(descriptor: int) -> bytes:
    content = b""
    try:
        while part := os.read(descriptor, 4096):
            content += part
    except OSError:
        pass  # Linux' way to say that the other end of a terminal is closed.
    return content


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_has_plain_lines(term: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(command("list", "--backend", "reference"), stdout=theirs, env=environment(TERM=term)):
        os.close(theirs)
        text = read_until_closed(ours)
    os.close(ours)
    assert b"reference" in text
    assert b"\x1b" not in text


def test_a_reader_that_goes_early_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    started = command("list", "--backend", "reference", "--json")
    finished = subprocess.run(started, stdout=writing, stderr=subprocess.PIPE, env=environment(), timeout=500)
    os.close(writing)
    assert finished.returncode == 0
    assert finished.stderr == b"Warning: standard output was closed; the command goes on without it\n"


def test_without_standard_output_and_error_a_command_goes_on() -> None:
    closed = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command("env")]
    assert subprocess.run(closed, env=environment(), timeout=500).returncode == 0


@pytest.mark.parametrize("columns", ["", "0", "20", "400", "x", "\u00b2"])
def test_any_width_is_shown(columns: str) -> None:
    shown = harness("env", COLUMNS=columns)
    assert shown.returncode == 0, shown.stderr
    assert "python" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= (20 if columns == "20" else 80)


def test_a_backend_of_matplotlib_that_is_none_is_of_no_interest(reference_run: Finished) -> None:
    compared = harness("compare", reference_run.folder, reference_run.folder, "--json", MPLBACKEND="nonsense")
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)


@pytest.mark.parametrize("name", ["list", "verify"])
def test_without_a_temporary_folder_there_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    refused = invoke(name, "--backend", "reference")
    assert refused.exit_code == 2
    assert "no usable temporary folder" in refused.output
    assert "set TMPDIR to a folder that can be written to" in refused.output


def test_a_user_without_a_home_and_a_name_verifies_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    from harness.processes.verdict import cache_path, remember

    path = cache_path(find_backend("reference"), "idiomatic", "float32", Resources("cpu"), {})
    remember(path, Verification(backend="a", implementation="b", precision="float32", verified=True))
    assert str(path).startswith(os.devnull)
    assert list(tmp_path.iterdir()) == []


NAMELESS = 54321


def as_nameless(*arguments: str) -> list[str]:
    """The command as a user whose id has no name, where we are root; it may read everything, as the interpreter may be
    in root's home, and write nothing of ours. Else as it is."""
    if os.geteuid():
        return [*arguments]
    user = ["setpriv", "--reuid", str(NAMELESS), "--regid", str(NAMELESS), "--clear-groups"]
    user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    if shutil.which("setpriv") is None or subprocess.run([*user, "true"], capture_output=True).returncode:
        pytest.skip("root cannot become another user who may read everything here")
    return [*user, *arguments]


def test_a_read_only_checkout_and_a_user_without_a_home_and_a_name(tmp_path: Path) -> None:
    checkout, folder = tmp_path / "checkout", tmp_path / "folder"
    for name in ("harness", "backends", "tests/fakes"):
        shutil.copytree(PROJECT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(checkout.rglob("*"))
    for path in [checkout, *before]:
        path.chmod(path.stat().st_mode & 0o555)
    folder.mkdir()
    if not os.geteuid():
        os.chown(folder, NAMELESS, NAMELESS)
    homeless = {"HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "TMPDIR", "MPLCONFIGDIR"}
    # Who has a home all the same keeps it as it is.
    homeless |= set() if os.geteuid() else {"XDG_CACHE_HOME"}
    variables = {name: value for name, value in os.environ.items() if name not in homeless}
    variables["PYTHONPATH"] = os.pathsep.join([str(checkout), str(checkout / "tests" / "fakes")])
    asked = as_nameless(*command("run", "--backend", "reference", "--threads", 1, *SMALL, "--out", "run"))
    finished = subprocess.run(asked, capture_output=True, text=True, cwd=folder, env=variables, timeout=500)
    for path in [checkout, *before]:
        path.chmod(path.stat().st_mode | 0o200)
    assert finished.returncode == 0, finished.stderr
    assert "Traceback" not in finished.stderr
    assert (folder / "run" / "report.html").is_file()
    assert sorted(checkout.rglob("*")) == before


def test_a_folder_that_cannot_be_synced_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    durable._say_unsynced.cache_clear()
    for name in ("one", "two"):
        durable.write_text(tmp_path / name, "content")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert capsys.readouterr().err.count("cannot be synced") == 1


def test_what_a_process_left_whose_number_is_in_use_again_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f".record.json.{os.getpid()}.tmp"
    left.touch()
    os.utime(left, (0, 0))
    durable.remove_temporaries(tmp_path)
    assert not left.exists()


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    second = SimpleNamespace(now=lambda zone: datetime(2026, 1, 2, tzinfo=zone))
    monkeypatch.setattr("harness.records.folder.datetime", second)
    (tmp_path / "results").mkdir()
    first = "2026-01-02T000000Z-quick"
    names = []
    for taken in (first, f".{first}-2.new", f"{first}-3"):
        names.append(default_folder("quick").name)
        (tmp_path / "results" / taken).mkdir()
    assert names == [first, f"{first}-2", f"{first}-3"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of this code, in a repository that is another's."""
    folder = tmp_path / "around" / "suite"
    (folder / "harness" / "machine").mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for place, message in ((folder.parent, "theirs"), (folder, "ours")):
        git = ["git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)
    monkeypatch.setattr(software, "__file__", str(folder / "harness" / "machine" / "software.py"))
    return folder


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_revision_is_this_codes_own_within_a_hook_and_anothers_repository(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    own = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("GIT_DIR", str(checkout.parent / ".git"))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert software.git_revision() == own
    (checkout / ".git").rename(checkout / "gone")
    assert software.git_revision() is None
    (checkout / ".git").mkdir()
    assert software.git_revision() is None


def test_a_checkout_changes_no_ending_of_a_line() -> None:
    assert "* -text" in (PROJECT / ".gitattributes").read_text(encoding="utf-8").splitlines()
