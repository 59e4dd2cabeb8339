"""What the documentation holds, taken out of it: fenced blocks, commands and the example of a backend."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from backends import ENTRY_POINTS

PROJECT = Path(__file__).parents[1]
EXAMPLE = PROJECT / "examples" / "numpy_backend"
FOLDERS = ("docs", "examples/*")
PAGES = [
    *("README.md", "CONTRIBUTING.md"),
    *sorted(str(path.relative_to(PROJECT)) for folder in FOLDERS for path in PROJECT.glob(f"{folder}/*.md")),
]
SHELLS = ("sh", "bash", "console")


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages, in order."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    fenced = re.compile(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return fenced.findall(text)


def commands(page: str) -> list[str]:
    """Every line of a page's shell blocks, without its comment."""
    lines = [line for block in blocks(page, *SHELLS) for line in block.splitlines()]
    return [command for line in lines if (command := re.sub(r"(^|\s+)#.*", "", line).strip())]


def install_example(folder: Path) -> None:
    """The distribution in EXAMPLE, as pip installs it into `folder`. Needs no network."""
    source = folder.with_name(f"{folder.name}-source")
    # Building leaves files beside the sources.
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, str(source)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr


def install(folder: Path, name: str, entry_points: dict[str, str], modules: dict[str, str]) -> None:
    """What an installer leaves: the package and, beside it, metadata with the entry points."""
    for module, code in modules.items():
        path = folder / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{entry} = {value}" for entry, value in entry_points.items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINTS}]", *lines]) + "\n")
