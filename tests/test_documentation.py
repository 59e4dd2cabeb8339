"""Every command in the documentation and in --help runs, page by page, each page from an empty folder.

What trains is made small here, and computed by the NumPy reference, so that the pages run in seconds and with any
framework or none: see scale(). CI's environment `all` runs the README's command for all three frameworks as it stands.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from harness.cli import main
from harness.commands.examples import EXAMPLES
from harness.report.quantities import percent
from harness.task.metrics import training_step_operations
from harness.task.presets import load_preset
from tests.command import settings
from tests.documentation import PAGES, PROJECT, blocks, commands

# Commands that are not run here, and why.
LEFT_OUT = {
    r"python3? -m venv .*": "makes an environment and installs into it: CI does this to the letter",
    r"pip install .*": "installs: CI does this",
    r"\.venv-\w+/bin/.*|grep .*": "two environments: test_two_versions_of_a_package_are_compared makes and uses them",
    r"tox.*": "runs these tests: CI does this",
    r"pytest": "runs these tests",
    r"\. .*/activate": "for the shell it is typed into",
    r"eval .*": "for the shell it is typed into; see the test of completion",
    r"python scripts/kill_and_resume.py .*": "takes minutes; tests of signals and of resuming kill runs too",
    r"(RAY_\w+=\S+ )?ray start .*": "starts a node that does not end; tests/processes/cluster has its own",
    r"(srun|export) .*": "lines of a Slurm job",
    r"python -m harness (run|sweep|verify) .*ranks[ =].*": "needs a framework: test_ranks.py and CI run it",
    r"python scripts/(draw_evidence|model_scaling)\.py .*": "reads published runs: tests/scripts has it",
    r"python -m harness predict results/published/.*": "needs the frameworks: tests/commands/test_predict.py runs it",
    r"python -m harness run .*--cluster .*": "needs Ray and nodes: tests/processes/cluster runs it on a cluster of two",
    r"scripts/gpu_check\.sh .*": "needs a GPU",
    r"tensorboard .*": "a server that does not end; tests/report/exports reads the files with its own reader",
}
SMALL = {"model.hidden": 3, "model.layers": 1, "train.steps": 9, "train.chunk": 2, "task.max_length": 2}
SMALL |= {"evaluate.sequences": 5, "evaluate.test_batches": 1}
PUBLISHED = "results/published/README.md"
AXES = {"batch": "2", "hidden": "3", "layers": "1", "length": "2", "threads": "1"}
# Four processes a side are the fewest with which compare can conclude something; seeds add no second set.
FOUR_PROCESSES = ["--seeds", "0,1,2,3"]
TOOLS = {"pytest-benchmark": "pytest_benchmark", "pyperf": "pyperf"}


def leaves_out(command: str) -> bool:
    return any(re.fullmatch(rf"(\.venv/bin/)?{pattern}", command) for pattern in LEFT_OUT)


def scale(command: str) -> list[str]:
    """The command's arguments with this Python, and with what takes long made short."""
    words = shlex.split(command)
    if words[0] in TOOLS:
        return [sys.executable, "-m", TOOLS[words[0]], *words[1:]]
    if not re.fullmatch(r"(\.venv(-\w+)?/bin/)?python3?", words[0]) or words[1:3] != ["-m", "harness"]:
        return [sys.executable, *words[1:]]
    options = list(words[4:])
    for place, option in enumerate(options[:-1]):
        if option == "--backend":
            options[place + 1] = next((name for name in options[place + 1].split(",") if is_here(name)), "reference")
        if option == "--implementation" and "--backend" in options:
            options[place + 1] = "all"
        if option == "--repeats":
            options[place : place + 2] = FOUR_PROCESSES
        if option == "--sweep":
            axis = options[place + 1].partition("=")[0]
            options[place + 1] = f"{axis}={AXES[axis]}"
    if words[3] in ("run", "sweep", "list", "verify") and "--backend" not in options:
        options[:0] = ["--backend", "reference"]
    if words[3] in ("run", "sweep", "list"):
        options += settings(SMALL)
    return [sys.executable, "-m", "harness", words[3], *options]


def is_here(name: str) -> bool:
    """Whether a backend is there without any framework."""
    return name in ("numpy32", "reference")


def run_here(page: str) -> list[str]:
    """The page's commands that are run here, each alone: a line may join several."""
    parts = [part.strip() for line in commands(page) for part in line.split("&&")]
    return [part for part in parts if not leaves_out(part)]


def runs_elsewhere(command: str, pages: list[str]) -> bool:
    """Whether one of the pages has a command that comes to the same."""
    return any(scale(command) == scale(other) for page in pages for other in run_here(page))


def run(command: str, folder: Path, python: str = sys.executable) -> str:
    """What the command prints, with that Python, in that folder and with the packages in it."""
    paths = os.pathsep.join([str(folder), str(PROJECT), os.environ["PYTHONPATH"]])
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "80"}
    words = [python, *scale(command)[1:]]
    finished = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    # Such short steps say nothing of speed, so a gate may close on them; that it decides is what is tested here.
    allowed = (0, 1) if "--fail-if-slower" in command else (0,)
    assert finished.returncode in allowed, f"{command}\n{finished.stdout}\n{finished.stderr}"
    assert "Traceback" not in finished.stderr
    return finished.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_every_command_of_a_page_runs(page: str, installed_example: Path, tmp_path: Path) -> None:
    if "numpy32" in " ".join(commands(page)):
        shutil.copytree(installed_example, tmp_path, dirs_exist_ok=True)
    for command in run_here(page):
        if not runs_elsewhere(command, PAGES[: PAGES.index(page)]):
            run(command, tmp_path)


def test_two_versions_of_a_package_are_compared(installed_example: Path, tmp_path: Path) -> None:
    """docs/versions.md with the package of the example, whose version 2.0 sleeps in every step, for optax."""
    _, after = (make_environment(tmp_path / f".venv-{name}", installed_example) for name in ("before", "after"))
    [metadata] = after.glob("numpy_backend-*/METADATA")
    replace(metadata, "Version: 1.0", "Version: 2.0")
    replace(after / "numpy_backend" / "backend.py", "import numpy", "import time\n\nimport numpy")
    replace(
        after / "numpy_backend" / "backend.py",
        "losses.append(loss)",
        "time.sleep(0.05)\n            losses.append(loss)",
    )
    for command in commands("docs/versions.md"):
        python, *_ = shlex.split(command)
        if python.endswith("/bin/python"):
            run(command.replace("jax", "numpy32"), tmp_path, python=str(tmp_path / python))
    table = (tmp_path / "results" / "versions" / "comparison.md").read_text("utf-8")
    [ratio] = re.findall(r"^\| numpy32 idiomatic \| [\d.,]+ \| [\d.,]+ \| ([\d.]+) \|", table, re.MULTILINE)
    assert float(ratio) < 0.5
    assert "| environment.packages.numpy-backend | 1.0 | 2.0 |" in table


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def make_environment(folder: Path, packages: Path) -> Path:
    """An environment with these packages besides those that are installed here; the folder of its own ones."""
    venv.create(folder)
    [own] = folder.glob("lib/python*/site-packages")
    (own / "besides.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    shutil.copytree(packages, own, dirs_exist_ok=True)
    return own


def test_every_example_of_the_help_runs(tmp_path: Path) -> None:
    """But those that a page has too, as they come to the same. What is compared and exported are copies of one run."""
    examples = list(dict.fromkeys(command for examples in EXAMPLES.values() for command in examples))
    [nightly] = [command for command in examples if "results/nightly" in command]
    run(nightly, tmp_path)
    for name in ("before", "after"):
        shutil.copytree(tmp_path / "results" / "nightly", tmp_path / "results" / name)
    for command in examples:
        if command != nightly and not runs_elsewhere(command, PAGES):
            run(command, tmp_path)


def test_every_command_has_examples_in_its_help() -> None:
    assert {name for name, command in main.commands.items() if "Examples:" in (command.epilog or "")} >= {
        *("run", "sweep", "verify", "report", "compare", "export", "list", "env"),
    }


@pytest.mark.parametrize("page", [*PAGES, PUBLISHED])
def test_every_command_of_a_page_is_one_that_the_command_line_takes(page: str) -> None:
    """Read and not run: those in sentences, those of clusters and of GPUs, and those that take hours, too."""
    for line in named_commands(page):
        _, _, _, name, *options = shlex.split(line)
        asked = main.commands[name].make_context(name, options).params
        if "preset" in asked:
            load_preset(asked["preset"], asked["overrides"])


def test_files_that_pages_name_are_there() -> None:
    for page in [*PAGES, PUBLISHED]:
        text = (PROJECT / page).read_text("utf-8")
        named = re.findall(r"`((?:scripts|harness|backends|tests|examples)/[\w./-]+)`", text)
        named += [word for line in commands(page) for word in line.split() if re.match(r"scripts/\w", word)]
        assert [path for path in named if not (PROJECT / path).exists()] == [], page


def named_commands(page: str) -> list[str]:
    """The harness's commands in a page's blocks, one a line, and in its sentences."""
    sentences = re.sub(r"^```.*?^```", "", (PROJECT / page).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", sentences)]
    lines = [*commands(page), *(line for block in blocks(page, "yaml") for line in block.splitlines()), *spans]
    return re.findall(r"python -m harness [a-z][^&'\n]*", "\n".join(lines))


def test_completion_is_one_line_that_a_shell_takes(tmp_path: Path) -> None:
    [line] = [command for command in commands("docs/usage.md") if command.startswith("eval")]
    script = tmp_path / "lstm-copy-benchmark"
    script.write_text(
        f"#!{sys.executable}\nfrom harness.cli import start\nstart('lstm-copy-benchmark')\n", encoding="utf-8"
    )
    script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)}
    check = f"{line}\ncomplete -p lstm-copy-benchmark"
    finished = subprocess.run(["bash", "-c", check], capture_output=True, text=True, env=environment, timeout=60)
    assert finished.returncode == 0, finished.stderr
    assert "lstm_copy_benchmark" in finished.stdout


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        text = (PROJECT / page).read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (PROJECT / page).parent.joinpath(link).exists(), f"{page}: {link}"


def test_tuning_has_the_share_of_products_of_one_time_step() -> None:
    """Those of the recurrence, forward and back, at the shape of the preset `original`."""
    config = load_preset("original", [])
    layers, hidden, batch = config.model.layers, config.model.hidden, config.train.batch
    time_steps = config.task.time_steps(config.task.max_length)
    n_parameters = sum(math.prod(shape) for shape in config.model_spec().shapes().values())
    recurrent = 2 * layers * time_steps * 2 * batch * hidden * 4 * hidden
    share = recurrent / training_step_operations(n_parameters, batch, time_steps)
    assert f"{percent(share)} are products of {batch} rows" in (PROJECT / "docs" / "tuning.md").read_text("utf-8")
