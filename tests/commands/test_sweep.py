"""sweep as people use it: real processes, exit statuses and what is on the disk afterwards."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from harness.analysis.scaling import SweepRow
from harness.commands.sweep import Point, parse_points
from harness.report.sweep import make_axis_table, plot_axis
from harness.task.presets import load_preset
from tests.command import Finished, harness, invoke, read_rows, settings

# The axes are varied from the preset's batch and lengths.
QUICK = ["--preset", "quick"]
SMALL = [*QUICK, *settings({"model.hidden": 3, "model.layers": 1, "train.steps": 6, "train.chunk": 2})]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two axes, one backend that works and one that does not, as JSON."""
    folder = tmp_path_factory.mktemp("sweeps") / "mixed"
    axes = ["--sweep", "batch=2,4", "--sweep", "length=3"]
    finished = harness("sweep", "--backend", "reference,raising", *SMALL, *axes, "--out", folder, "--json")
    return Finished(finished, folder)


def test_every_point_is_a_normal_run_in_a_folder_of_its_own(swept: Finished) -> None:
    _, folder = swept
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["batch-2", "batch-4", "length-3"]
    for point in ("batch-2", "batch-4", "length-3"):
        assert (folder / point / "tables" / "summary.csv").is_file()
        assert (folder / point / "report.html").is_file()


def test_one_axis_changes_and_the_others_stay_as_in_the_preset(swept: Finished) -> None:
    _, folder = swept
    quick = load_preset("quick")
    varied = {}
    for path in sorted(folder.glob("*/run.json")):
        configuration = json.loads(path.read_text())["configuration"]
        varied[path.parent.name] = (configuration["train"]["batch"], configuration["task"]["max_length"])
    batch, length = quick.train.batch, quick.task.max_length
    assert varied == {"batch-2": (2, length), "batch-4": (4, length), "length-3": (batch, 3)}


def test_the_table_is_that_of_the_points(swept: Finished) -> None:
    _, folder = swept
    rows = read_rows(folder / "sweep.csv")
    points = [("batch", "2"), ("batch", "4"), ("length", "3")]
    timed = [row for row in rows if row["backend"] == "reference"]
    assert [(row["axis"], row["value"]) for row in timed] == points
    for row in timed:
        summary = read_rows(folder / f"{row['axis']}-{row['value']}" / "tables" / "summary.csv")
        assert summary[0] == {**summary[0], **{name: row[name] for name in row if name in summary[0]}}
        assert float(row["sequences_per_s"]) > 0


def test_what_fails_has_its_reason_and_takes_no_other_with_it(swept: Finished) -> None:
    finished, folder = swept
    assert finished.returncode == 1
    failed = [row for row in read_rows(folder / "sweep.csv") if row["backend"] == "raising"]
    assert [row["status"] for row in failed] == ["failed"] * 3
    assert all("on fire" in row["reason"] for row in failed)


def test_the_page_shows_a_table_and_a_plot_for_each_axis(swept: Finished) -> None:
    _, folder = swept
    page = (folder / "sweep.md").read_text()
    assert "Each axis is varied alone, everything else as in the preset `quick`" in page
    for axis in ("batch", "length"):
        assert f"({axis}.png)" in page
        assert (folder / f"{axis}.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_on_stdout_alone(swept: Finished) -> None:
    finished, folder = swept
    answer = json.loads(finished.stdout)
    assert answer["folder"] == str(folder)
    assert [row["value"] for row in answer["points"] if row["status"] == "ok"] == [2, 4, 3]


def test_a_terminal_gets_a_line_for_each_variant_and_threads_are_an_axis(tmp_path: Path) -> None:
    asked = ["--backend", "reference", *SMALL, "--sweep", "threads=1"]
    finished = harness("sweep", *asked, "--out", tmp_path / "sweep")
    assert finished.returncode == 0
    assert "sequences/s by threads" in finished.stdout
    assert json.loads((tmp_path / "sweep" / "threads-1" / "run.json").read_text())["resources"]["threads"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "depth=1"], "--sweep 'depth=1': allowed axes are batch, hidden, layers, length, threads, ranks"),
        (["--sweep", "batch"], "--sweep 'batch': allowed are whole numbers of at least 1, with commas between"),
        (["--sweep", "batch=16,many"], "--sweep 'batch=16,many': allowed are whole numbers of at least 1"),
        (["--sweep", "hidden=0"], "--sweep 'hidden=0': allowed are whole numbers of at least 1"),
        (["--sweep", "threads=4096"], "--threads 4096: this process may use 1 "),
        (["--sweep", "batch=2", "--sweep", "batch=4"], "--sweep 'batch=4': batch is swept already"),
        (["--sweep", "length=1", "--set", "task.min_length=2"], "task.max_length must be at least 2, not 1"),
        (["--sweep", "batch=2", "--seeds", "one"], "--seeds 'one': allowed are whole numbers"),
        ([], "Missing option '--sweep'"),
        (
            ["--ranks", "2", "--sweep", "batch=4,15"],
            "--ranks 2 do not divide train.batch = 15; allowed are 1, 3, 5, 15",
        ),
        (["--implementation", "tuned", "--sweep", "batch=2"], "reference has no implementation tuned"),
        (["--device", "cuda", "--sweep", "batch=2"], "--device cuda: the reference runs on a CPU only"),
        (["--device", "cuda:0", "--sweep", "ranks=2"], "--device cuda:0 with --ranks 2: each takes a GPU"),
        (["--sweep", "ranks=3"], "--ranks 3 do not divide train.batch = 16; allowed are 1, 2, 4, 8, 16"),
    ],
)
def test_wrong_usage_is_one_line_exit_status_2_and_nothing_written(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    refused = invoke("sweep", *QUICK, "--backend", "reference", *arguments, "--out", tmp_path / "sweep")
    assert refused.exit_code == 2
    assert message in refused.output.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    refused = invoke("sweep", "--backend", "reference", "--sweep", "batch=2", "--out", tmp_path)
    assert refused.exit_code == 2
    assert "already exists; a sweep starts a new folder" in refused.output


def test_ranks_need_to_divide_what_is_swept_and_not_the_preset(tmp_path: Path) -> None:
    """The preset's batch is 16."""
    chosen = ["--backend", "together", *SMALL, "--ranks", "3", "--sweep", "batch=6"]
    finished = harness("sweep", *chosen, "--out", tmp_path / "sweep")
    assert [row["status"] for row in read_rows(tmp_path / "sweep" / "sweep.csv")] == ["ok"], finished.stderr


def test_values_keep_their_order_and_count_once() -> None:
    points = parse_points(["hidden=8, 4,8", "batch=2"])
    assert points == [Point("hidden", 8), Point("hidden", 4), Point("batch", 2)]
    assert points[0].name == "hidden-8"


def test_ranks_are_swept_with_the_batch_shared_and_with_a_batch_each(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    axes = ["--sweep", "ranks=1,2", "--repeats", "2"]
    finished = harness("sweep", "--backend", "together", *SMALL, *axes, "--out", folder)
    # A backend that is no LSTM is not verified, and says so by the exit status.
    assert finished.returncode == 1
    rows = read_rows(folder / "sweep.csv")
    points = [("ranks-strong", "1"), ("ranks-strong", "2"), ("ranks-weak", "1"), ("ranks-weak", "2")]
    assert [(row["axis"], row["value"]) for row in rows] == points
    batches = [json.loads((folder / f"{axis}-{n}" / "run.json").read_text())["configuration"] for axis, n in points]
    assert [configuration["train"]["batch"] for configuration in batches] == [16, 16, 16, 32]
    for row in rows:
        summary = read_rows(folder / f"{row['axis']}-{row['value']}" / "tables" / "summary.csv")[0]
        alone = next(each for each in rows if each["axis"] == row["axis"] and each["value"] == "1")
        expected = float(row["sequences_per_s"]) / float(alone["sequences_per_s"]) / int(row["value"])
        assert float(row["efficiency"]) == pytest.approx(expected)
        assert float(row["efficiency_low"]) <= expected <= float(row["efficiency_high"])
        together = row["value"] == "2"
        assert (bool(summary["ranks"]), bool(row["exchange_share"])) == (together, together)
    page = (folder / "sweep.md").read_text()
    assert "do not show how they scale" in page
    assert "(ranks-weak.png)" in page


def test_an_axis_without_any_speed_has_a_table_but_no_plot() -> None:
    identity = {"axis": "batch", "value": 2, "backend": "jax", "implementation": "tuned", "precision": "float32"}
    ended = {"status": "not_installed", "reason": "jax is not installed"}
    rows = [SweepRow(**{field.name: None for field in fields(SweepRow)} | identity | ended)]
    assert plot_axis("batch", rows) is None
    table = make_axis_table("batch", rows)
    assert table.headers == ["batch", "backend", "implementation", "precision", "status", "reason"]


def test_throughput_is_the_step_of_the_seed_with_enough_steady_chunks() -> None:
    seed, throughput = load_preset("original"), load_preset("throughput")
    assert (throughput.task, throughput.model, throughput.optimizer) == (seed.task, seed.model, seed.optimizer)
    assert throughput.train.batch == seed.train.batch
    assert throughput.train.steps // throughput.train.chunk == 12
