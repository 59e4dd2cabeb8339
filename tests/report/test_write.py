from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.report import write_report

Make = Callable[..., dict[str, Any]]
HOSTILE = "<script>alert(1)</script> | `x` \n# not a heading"
TABLES = {
    *("summary.csv", "summary.md", "loss.csv", "bit_error_by_length.csv", "bit_error_by_length.md"),
    *("throughput.csv", "throughput.md", "timeline.csv", "loss_distance.csv"),
    *("comparisons.csv", "comparisons.md", "ceiling.csv", "evaluations.csv", "bit_error_by_position.csv"),
    *("time_to_target.csv", "time_to_target.md", "quality_comparisons.csv", "quality_comparisons.md"),
}


class Page(HTMLParser):
    """The tags of a page and every address in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_everything_is_written_and_the_same_again(mixed_run: Path) -> None:
    write_report(mixed_run)
    tables, plots = read_all(mixed_run / "tables"), read_all(mixed_run / "plots")
    pages = [(mixed_run / name).read_bytes() for name in ("report.md", "report.html")]
    assert set(tables) == TABLES
    copies = {f"copies_{backend}-idiomatic-float32-seed0-r0.png" for backend in ("torch", "jax", "tensorflow")}
    copies |= {"copies_length_3.png", "copies_length_10.png"}
    assert set(plots) == {"loss.png", "bit_error_by_length.png", "times.png", "throughput.png", *copies}
    assert all(plot.startswith(b"\x89PNG") and len(plot) > 5000 for plot in plots.values())
    write_report(mixed_run)
    assert read_all(mixed_run / "tables") == tables
    assert read_all(mixed_run / "plots") == plots
    assert [(mixed_run / name).read_bytes() for name in ("report.md", "report.html")] == pages


def test_more_than_the_ceiling_is_on_the_page_with_its_warning(above_the_ceiling: Path) -> None:
    write_report(above_the_ceiling)
    for name in ("report.html", "report.md"):
        text = (above_the_ceiling / name).read_text().replace("\u00a0", " ")
        assert "torch idiomatic (117 %)" in text
        assert "Above the ceiling" in text


def test_an_earlier_report_leaves_no_plots_and_other_files_are_kept(
    run_folder: Callable[..., Path], failure: Make
) -> None:
    folder = run_folder(failure("torch", "failed", "broken"))
    (folder / "plots").mkdir()
    for name in ("loss.png", "ceiling.png", "copies_gone-idiomatic-float32-seed0-r0.png", "mine.png"):
        (folder / "plots" / name).write_bytes(b"old")
    write_report(folder)
    assert set(read_all(folder / "plots")) == {"mine.png"}
    assert set(read_all(folder / "tables")) == TABLES
    assert "broken" in (folder / "report.md").read_text("utf-8")


def test_repeats_a_ceiling_and_a_pair_are_reported_the_same_again(reported_run: Path) -> None:
    tables, page = read_all(reported_run / "tables"), (reported_run / "report.html").read_bytes()
    assert b"torch tuned again" in tables["comparisons.csv"]
    write_report(reported_run)
    assert read_all(reported_run / "tables") == tables
    assert (reported_run / "report.html").read_bytes() == page


def test_copies_are_drawn_of_the_first_repeat_alone(reported_run: Path) -> None:
    copies = {name for name in read_all(reported_run / "plots") if name.startswith("copies_")}
    names = ("torch-tuned", "torch-idiomatic", "jax-idiomatic")
    by_length = {"copies_length_3.png", "copies_length_10.png"}
    assert copies == {f"copies_{name}-float32-seed0-r0.png" for name in names} | by_length


def test_long_tables_are_folded_and_a_setting_is_told_once(reported_run: Path) -> None:
    page = (reported_run / "report.html").read_text("utf-8")
    assert '<details class="rows"><summary>Every process, as a table' in page
    assert page.count("<td>torch tuned.threads</td>") == 1


def test_warnings_are_in_both_pages_and_escaped(run_folder: Callable[..., Path], record: Make) -> None:
    busy = record("torch", other_cpu_share=0.5) | {"implementation": "<b>"}
    folder = run_folder(busy)
    write_report(folder)
    markdown, page = ((folder / name).read_text("utf-8") for name in ("report.md", "report.html"))
    for text in (markdown, page.replace("\N{NO-BREAK SPACE}", " ")):
        assert "Other processes used the processors" in text
        assert "torch &lt;b&gt; (1 of 1; 50 %" in text
        assert "No ranking: other processes used up to 50 % of the processors" in text


def test_no_warnings_are_no_section(reported_run: Path) -> None:
    assert "Warnings" not in (reported_run / "report.md").read_text("utf-8")
    assert "Warnings<" not in (reported_run / "report.html").read_text("utf-8")


def test_a_run_without_cells_has_a_report(run_folder: Callable[..., Path]) -> None:
    folder = run_folder()
    write_report(folder)
    assert "no cells" in (folder / "report.md").read_text("utf-8")


def test_markdown_is_escaped_and_shows_every_plot(run_folder: Callable[..., Path], record: Make, failure: Make) -> None:
    folder = run_folder(record("torch"), failure("jax", "failed", HOSTILE), command=f"run\n{HOSTILE}")
    write_report(folder)
    lines = (folder / "report.md").read_text("utf-8").splitlines()
    assert not [line for line in lines if "<script>" in line and not line.startswith("    ")]
    assert r"&lt;script&gt;alert(1)&lt;/script&gt; \| \`x\`  # not a heading" in "\n".join(lines)
    assert not [line for line in lines if line.startswith("# not")]
    for plot in read_all(folder / "plots"):
        assert f"(plots/{plot})" in "\n".join(lines)


def test_html_is_escaped_and_needs_nothing_else(run_folder: Callable[..., Path], record: Make, failure: Make) -> None:
    folder = run_folder(record("torch"), failure("jax", "failed", HOSTILE), command=HOSTILE, preset='"><script>')
    write_report(folder)
    page = Page((folder / "report.html").read_text("utf-8"))
    assert page.tags.count("script") == 1
    assert not {"iframe", "object", "form"} & set(page.tags)
    assert all(address.startswith(("data:image/png;base64,", "data:,", "#")) for address in page.addresses)


def test_a_label_that_looks_like_mathematics_is_drawn(run_folder: Callable[..., Path], record: Make) -> None:
    hostile = record("torch") | {"backend": r"$\frac$"}
    write_report(run_folder(hostile))


def test_a_hostile_cell_name_writes_nothing(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(unrecorded=("../../escape",))
    with pytest.raises(ValueError, match="unsafe cell name"):
        write_report(folder)
    assert {path.name for path in folder.iterdir()} == {"cells", "run.json"}


def test_the_report_imports_no_framework() -> None:
    code = "import sys, harness.report; sys.exit(bool({'torch', 'tensorflow', 'jax', 'keras'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
