"""`check` on runs as they were written, and on copies that somebody has tampered with."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.commands.check import check
from harness.records.schema import seal
from harness.report import write_report
from harness.task.presets import ConfigurationError
from tests.command import PROJECT, Finished, invoke

PUBLISHED = sorted(path.parent for path in (PROJECT / "results" / "published").glob("*/*/run.json"))
CELL = "reference-idiomatic-float32-seed0-r0"
RECORD = f"cells/{CELL}.json"
Change = Callable[[Any], None]


@pytest.fixture
def good_run(reference_run: Finished) -> Path:
    return reference_run.folder


@pytest.fixture
def copy(good_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good_run, tmp_path / "copy"))


def faults_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of the faults; exit code and last line agree with them."""
    exit_code = check(folder)
    *lines, last = capsys.readouterr().out.splitlines()
    faults = [line for line in lines if not line.startswith("remark: ")]
    assert exit_code == (1 if faults else 0)
    assert ("no fault" in last) == (not faults)
    return faults


def edit(path: Path, change: Change, *, sealed: bool = False) -> None:
    """Change a JSON file; `sealed` as somebody would who knows of the seal."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(seal(content) if sealed else content, indent=1))


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_every_published_run_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faults_of(folder, capsys) == []


def test_there_are_published_runs() -> None:
    assert PUBLISHED


def test_a_run_passes_as_it_was_written(good_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faults_of(good_run, capsys) == []


def test_a_key_that_was_taken_out_is_a_fault_in_a_run_of_today(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(copy / "run.json", set_to("configuration", "train", "stop_at_loss", value=0.0))
    assert faults_of(copy, capsys)[0].startswith("run.json: configuration: unknown key train.stop_at_loss")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"it has no run\.json"):
        check(tmp_path)


def set_to(*keys: str | int, value: Any) -> Change:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def scale(*keys: str | int, by: float) -> Change:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] *= by

    return change


def drop(*keys: str | int) -> Change:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


# Each by somebody who sealed the record again, so that only its content can betray it.
TAMPERED = {
    "a loss taken away": (drop("losses", 5), "losses: there are 11, not 12"),
    "a loss made better": (set_to("losses", 11, value=0.001), "tables/loss.csv: row 12, train_loss: it is"),
    "a loss that is no number": (set_to("losses", 3, value="0.5"), "losses[3]: expected `float`"),
    "a faster chunk": (scale("chunks", "train_s", 3, by=0.5), "timeline.steady_s: it is"),
    "a warm-up call counted": (set_to("chunks", "warmup", 0, value=False), "chunks.warmup[0]: it is false"),
    "a chunk of another size": (set_to("chunks", "steps", 0, value=4), "chunks.steps: they add up to 13"),
    "a clock that ran backwards": (set_to("chunks", "elapsed_s", 2, value=0.0), "chunks.elapsed_s[2]: it is less than"),
    "a quicker start": (scale("timeline", "import_s", by=0.5), "timeline.total_s: it is"),
    "fewer wrong bits": (set_to("evaluation", "lengths", 0, "bit_error", value=0.0), "evaluation.lengths[0].bit_error"),
    "more sequences": (
        set_to("evaluation", "lengths", 1, "sequences", value=7),
        "evaluation.lengths[1]: the wrong bits by sequence",
    ),
    "an impossible share": (set_to("evaluation", "lengths", 0, "exact_fraction", value=1.5), "expected `float` <= 1"),
    "a length left out": (drop("evaluation", "lengths", 1), "evaluation.lengths: its lengths are"),
    "another test set": (
        scale("evaluation", "test", "original_loss_floor", by=1.01),
        "evaluation.test.original_loss_floor",
    ),
    "no inference": (drop("inference"), "inference: it is missing"),
    "a slow call left out": (drop("inference", "single_s", 0), "inference.single_s: there are 199, not 200"),
    "inference of shorter sequences": (set_to("inference", "length", value=1), "inference.length: it is 1, not 2"),
    "inference of other batches": (set_to("inference", "batch", value=1000), "inference.batch: it is 1000, not 256"),
    "calls longer than their stage": (scale("inference", "batch_s", 0, by=1e6), "timeline.inference_s: it is"),
    "another target": (set_to("evaluation", "copies", 0, "target", 2, 0, value=0.5), "copies[0].target: it is not the"),
    "another model": (set_to("n_parameters", value=5), "n_parameters: it is 5, but the configured model has"),
    "another identity": (set_to("backend", value="torch"), "backend: its identity is"),
    "an identity that climbs": (set_to("cell", value="../../etc/passwd"), "cell: it is '../../etc/passwd'"),
    "an unknown status": (set_to("status", value="excellent"), "status: invalid enum value 'excellent'"),
    "a fault forgotten": (set_to("status", value="failed"), "reason: it is empty, though the status is failed"),
    "another configuration": (set_to("configuration_sha256", value="0" * 64), "configuration_sha256: it is not that"),
    "another version": (set_to("schema_version", value=2), "schema_version: it is 2, but run.json has 3"),
    "no provenance": (drop("provenance"), "provenance"),
    "a node that was not there": (set_to("node", value="nowhere"), "node: run.json names no such node"),
    "a rank's node that was not there": (set_to("nodes", value=["nowhere"]), "node: run.json names no such node"),
    "an attempt too many": (set_to("attempt", value=3), f"attempts/{CELL}.1.*: it is missing"),
    "a field left out for no fault": (
        lambda record: record.update(faulty={"chunks": record.pop("chunks")}),
        "faulty: fields were left out, and no fault says why",
    ),
    "an essential field left out": (
        lambda record: record.update(faults=["losses: many"], faulty={"losses": record.pop("losses")}),
        "losses: it is missing",
    ),
    "an infinite total": (set_to("timeline", "total_s", value=1e999), "it cannot be read: Infinity is not JSON"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_record_that_was_tampered_with_is_found(name: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, text = TAMPERED[name]
    content = json.loads((copy / RECORD).read_text())
    change(content)
    # Sealed again where it can be: infinity has no digest.
    with_seal = content if name == "an infinite total" else seal(content)
    (copy / RECORD).write_text(json.dumps(with_seal))
    faults = faults_of(copy, capsys)
    assert [fault for fault in faults if text in fault], faults
    assert all("\n" not in fault for fault in faults)


def test_any_change_breaks_the_seal(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(copy / RECORD, set_to("other_cpu_share", value=0.0001234))
    assert any(f"{RECORD}: sha256: the record was altered" in fault for fault in faults_of(copy, capsys))


def test_a_changed_published_record_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One value among thousands that no table shows: only the digests tell, the file's own and that of the folder."""
    folder = Path(shutil.copytree(PUBLISHED[0], tmp_path / "published"))
    record = sorted((folder / "cells").glob("*.json"))[0]
    edit(record, set_to("settings", "cpus", value=[7]))
    place = f"cells/{record.name}"
    assert sorted(faults_of(folder, capsys)) == [
        f"{place}: it is not the file that SHA256SUMS was made from",
        f"{place}: sha256: the record was altered after it was written",
    ]


def _replace(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


def _other_parameters(folder: Path) -> None:
    path = folder / f"cells/{CELL}.safetensors"
    save_file({name: array + 1 for name, array in load_file(path).items()}, path)


def _misnamed_parameters(folder: Path) -> None:
    path = folder / f"cells/{CELL}.safetensors"
    parameters = load_file(path)
    parameters["lstm.0.hidden"] = parameters.pop("lstm.0.bias")
    parameters["output.bias"] = np.zeros(9, np.float32)
    save_file(parameters, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(folder / RECORD, set_to("parameters_sha256", value=digest), sealed=True)


def _add_cell(name: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "run.json", lambda run: run["cells"].append(name))


SAMPLE = {"after": CELL, "backend": "torch", "way": "torch.mm", "precision": "float32", "device": "cpu"}
SAMPLE |= {"m": 4, "k": 3, "n": 12, "seconds": 1e-6, "calls": 50}


def _write_ceiling(folder: Path, **changes: Any) -> None:
    content = {"schema_version": 3, "samples": [SAMPLE | changes]}
    (folder / "ceiling.json").write_text(json.dumps(content))


def _pickle(folder: Path) -> None:
    (folder / "cells" / "parameters.pkl").write_bytes(pickle.dumps({"a": 1}))


def _link(folder: Path) -> None:
    (folder / RECORD).rename(folder.parent / "elsewhere.json")
    (folder / RECORD).symlink_to(folder.parent / "elsewhere.json")


SUMMARY = "tables/summary.csv"
SPOILED = {
    "a table's value": (lambda f: _replace(f, SUMMARY, ",ok,", ",ko,"), f"{SUMMARY}: row 1, status: it is 'ko'"),
    "a page's table": (lambda f: _replace(f, "tables/summary.md", "| reference |", "| torch |"), "tables/summary.md"),
    "a table gone": (lambda f: (f / SUMMARY).unlink(), f"{SUMMARY}: it is missing"),
    "a column gone": (lambda f: _replace(f, SUMMARY, ",bit_error,", ",bits,"), f"{SUMMARY}: bit_error: this column is"),
    "a row twice": (
        lambda f: _replace(f, "tables/throughput.csv", "reference", "reference\nreference"),
        "tables/throughput.csv: it has 5 rows, but the records give 4",
    ),
    "a record gone": (lambda f: (f / RECORD).unlink(), f"{RECORD}: there is no record"),
    "half a record": (lambda f: os.truncate(f / RECORD, 900), f"{RECORD}: it cannot be read: "),
    "a key twice": (lambda f: _replace(f, RECORD, "{", '{"status": "ok", '), "the key 'status' is there twice"),
    "a record too many": (
        lambda f: shutil.copy(f / RECORD, f / "cells/torch-tuned-float32-seed0-r0.json"),
        "cells/torch-tuned-float32-seed0-r0.json: run.json names no such cell",
    ),
    "other parameters": (_other_parameters, "parameters_sha256: it is not the file of its record"),
    "misnamed parameters": (_misnamed_parameters, "lstm.0.hidden: the model has no such parameter"),
    "parameters gone": (lambda f: (f / f"cells/{CELL}.safetensors").unlink(), f"cells/{CELL}.safetensors: it is"),
    "garbage for parameters": (lambda f: (f / f"cells/{CELL}.safetensors").write_bytes(b"x" * 99), "cannot be read"),
    "a pickle": (_pickle, "cells/parameters.pkl: a file of this kind is no part of a run"),
    "a link": (_link, f"{RECORD}: it is a link"),
    "a pipe": (lambda f: ((f / RECORD).unlink(), os.mkfifo(f / RECORD)), f"{RECORD}: it cannot be read: it is no"),
    "a name that climbs": (_add_cell("../../outside"), "run.json: cells[4]: '../../outside' is not safe"),
    "a cell twice": (_add_cell(CELL), f"{CELL} is there twice"),
    "another configuration": (
        lambda f: edit(f / "run.json", set_to("configuration", "train", "learning_rate", value=0.5)),
        "configuration_sha256: it is not that of run.json's configuration",
    ),
    "a configuration that is none": (
        lambda f: edit(f / "run.json", set_to("configuration", "train", "stepz", value=1)),
        "run.json: configuration: unknown key train.stepz",
    ),
    "a version to come": (
        lambda f: edit(f / "run.json", set_to("schema_version", value=9)),
        "run.json: schema_version: it is 9; version 3 can be checked",
    ),
    "a record left out": (
        lambda f: edit(f / "run.json", set_to("left_out", value=["cells/*.json"])),
        "run.json: left_out: 'cells/*.json' cannot be left out",
    ),
    "a product of another shape": (
        lambda f: _write_ceiling(f, k=5),
        "ceiling.json: samples[0]: its product is (4, 5, 12), none of [(4, 3, 12), (24, 3, 12), ",
    ),
    "a sample without its way": (
        lambda f: _write_ceiling(f, way=None),
        "ceiling.json: samples[0].way: expected `str`, got `null`",
    ),
    "a product in no time": (lambda f: _write_ceiling(f, seconds=0), "ceiling.json: samples[0].seconds: expected"),
    "a sample after no cell": (
        lambda f: _write_ceiling(f, after="yesterday"),
        "ceiling.json: samples[0].after: run.json names no such cell",
    ),
    "a log gone": (lambda f: (f / f"logs/{CELL}.log").unlink(), f"logs/{CELL}.log: it is missing"),
    "a sentence altered": (
        lambda f: _replace(f, "report.md", "reference", "torch"),
        "report.md: it is not what the rec",
    ),
    "another page": (lambda f: _replace(f, "report.html", "reference", "torch"), "report.html: it is not what the rec"),
    "a figure of another run": (
        lambda f: shutil.copy(f / "plots/times.png", f / "plots/loss.png"),
        "plots/loss.png: it is not what the records give",
    ),
    "a figure of nothing": (
        lambda f: shutil.copy(f / "plots/times.png", f / "plots/copies_length_99.png"),
        "plots/copies_length_99.png: the records give no such figure",
    ),
    "sums of elsewhere": (
        lambda f: (f / "SHA256SUMS").write_text(f"{'0' * 64}  ../../etc/passwd\n"),
        "SHA256SUMS: line 1: it is not a digest and the name of a file in this folder",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_folder_that_was_tampered_with_is_found(name: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, text = SPOILED[name]
    spoil(copy)
    faults = faults_of(copy, capsys)
    assert [fault for fault in faults if text in fault], faults
    assert all("\n" not in fault for fault in faults)


def test_figures_drawn_with_another_version_are_not_compared(copy: Path) -> None:
    edit(copy / "run.json", set_to("environment", "packages", "matplotlib", value="3.0.0"))
    assert invoke("report", copy).exit_code == 0
    _replace(copy, "report.html", "reference", "torch")
    (copy / "plots/loss.png").write_bytes(b"another")
    checked = invoke("check", copy)
    assert checked.exit_code == 0
    assert "the page and the figures were not compared: the run had matplotlib 3.0.0" in checked.output


def test_samples_of_the_ceiling_pass(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write_ceiling(copy)
    write_report(copy)
    assert faults_of(copy, capsys) == []


def test_what_run_json_says_was_left_out_is_a_remark(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in [*(copy / "cells").glob("*.safetensors"), copy / "tables/loss.csv"]:
        path.unlink()
    edit(copy / "run.json", set_to("left_out", value=["cells/*.safetensors", "tables/loss.csv"]))
    assert faults_of(copy, capsys) == []


def test_report_makes_tables_that_pass_again(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copy / "tables")
    assert faults_of(copy, capsys)
    assert invoke("report", copy).exit_code == 0
    assert faults_of(copy, capsys) == []


def test_what_is_printed_is_one_printable_line(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(copy / "run.json", lambda run: run["cells"].append("a\nb\x1b[2J\u202e\ud800"))
    faults = faults_of(copy, capsys)
    assert all(fault.isprintable() for fault in faults)
