"""What the documentation holds, taken out of it: fenced blocks, commands and the worked example."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from backends import ENTRY_POINTS

PROJECT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(PROJECT)) for path in PROJECT.glob("docs/*.md"))]
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


def install_worked_example(folder: Path) -> None:
    """CONTRIBUTING.md's package with its entry point, as an installer would leave it in `folder`."""
    [code], [package], [project] = (blocks("CONTRIBUTING.md", language) for language in ("python", "py", "toml"))
    described = tomllib.loads(project)["project"]
    modules = {"my_package/__init__.py": package, "my_package/my_backend.py": code}
    install(folder, described["name"], described["entry-points"][ENTRY_POINTS], modules)


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
