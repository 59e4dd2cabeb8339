"""compare as people use it: what it prints, writes and exits with."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.command import invoke, read_rows


def compare(*arguments: object) -> Result:
    return invoke("compare", *arguments)


@pytest.fixture
def pair(make_run: Any) -> tuple[Path, Path]:
    """Before and after a slowdown of torch by 10 %."""
    return make_run("before", machine=0), make_run("after", machine=1, slower={"torch": 1.10})


def test_a_slowdown_is_told_with_interval_drift_and_noise_in_80_columns(pair: tuple[Path, Path]) -> None:
    finished = compare(*pair)
    assert finished.exit_code == 0, finished.output
    tables = [line for line in finished.output.splitlines() if str(pair[0].parent) not in line]
    assert max(map(len, tables)) <= 80
    text = " ".join(finished.output.split())
    assert "B against A, slower in training: torch tuned takes" in text
    assert "B against A, no difference shown: jax idiomatic." in text
    assert "not interleaved" in text


def test_fail_if_slower_fails_on_more_than_its_limit_alone(pair: tuple[Path, Path]) -> None:
    strict, lenient = compare(*pair, "--fail-if-slower", "5%"), compare(*pair, "--fail-if-slower", "25%")
    assert (strict.exit_code, lenient.exit_code) == (1, 0)
    assert "Slower than allowed: torch tuned: a step takes" in " ".join(strict.output.split())
    assert compare(pair[1], pair[0], "--fail-if-slower", "5%").exit_code == 0


@pytest.mark.parametrize("machine", range(3))
def test_fail_if_slower_passes_the_same_thing_twice(make_run: Any, machine: int) -> None:
    pair = make_run("before", machine=machine), make_run("after", machine=50 + machine)
    assert compare(*pair, "--fail-if-slower", "5%").exit_code == 0


def test_fail_if_slower_fails_where_an_implementation_is_gone_or_no_longer_verified(make_run: Any) -> None:
    before = make_run("before", machine=0)
    gone, wrong = make_run("gone", machine=1), make_run("wrong", machine=2, verified=False)
    for path in (gone / "cells").glob("jax-*.json"):
        path.unlink()
    finished = compare(before, gone, "--fail-if-slower", "5%")
    assert finished.exit_code == 1
    assert "jax idiomatic: measured in A, not in B (failed: no record)" in " ".join(finished.output.split())
    finished = compare(before, wrong, "--fail-if-slower", "5%")
    assert finished.exit_code == 1
    assert "torch tuned: no longer verified in B" in " ".join(finished.output.split())


def test_a_gate_that_could_not_fail_is_refused(make_run: Any) -> None:
    finished = compare(make_run("a", machine=0, n=1), make_run("b", machine=1, n=1), "--fail-if-slower", "5%")
    assert finished.exit_code == 2
    assert "too few processes" in finished.output
    assert "--repeats 6" in finished.output
    busy = make_run("busy", machine=1, other_cpu_share=0.48)
    finished = compare(make_run("idle", machine=0), busy, "--fail-if-slower", "5%")
    assert finished.exit_code == 2
    assert "other processes used up to 48 % of the processors while torch tuned trained in A or B" in finished.output


def test_on_a_busy_machine_nothing_is_concluded(make_run: Any) -> None:
    busy = make_run("busy", machine=1, slower={"torch": 14.0}, other_cpu_share=0.48)
    finished = compare(make_run("idle", machine=0), busy)
    text = " ".join(finished.output.split())
    assert "B against A, no conclusion on torch tuned, torch idiomatic and jax idiomatic: other processes used" in text
    assert "slower in training" not in text


@pytest.mark.parametrize("limit", ["5", "fast", "-1%", "5%%"])
def test_a_limit_that_is_no_percentage_is_refused(pair: tuple[Path, Path], limit: str) -> None:
    finished = compare(*pair, "--fail-if-slower", limit)
    assert finished.exit_code == 2
    assert "allowed is a percentage, such as 5%" in finished.output


def test_json_is_one_document_with_unrounded_numbers(pair: tuple[Path, Path]) -> None:
    document = json.loads(compare(*pair, "--json", "--fail-if-slower", "5%").stdout)
    assert [run["run"] for run in document["runs"]] == ["A", "B"]
    [tuned] = [row for row in document["speed"] if (row["backend"], row["implementation"]) == ("torch", "tuned")]
    assert tuned["ratio"]["low"] < tuned["ratio"]["estimate"] < tuned["ratio"]["high"] < 1
    rates = tuned["after_sequences_per_s"]["estimate"] / tuned["before_sequences_per_s"]["estimate"]
    assert tuned["ratio"]["estimate"] == pytest.approx(rates)
    assert tuned["conclusion"] == "slower"
    assert 1 < tuned["noise_floor"] < 1 / tuned["ratio"]["estimate"]
    assert len(document["failures"]) == 2
    assert document["quality"][0]["bit_error"][0] is not None


def test_out_writes_the_page_the_table_and_the_plot(pair: tuple[Path, Path], make_run: Any, tmp_path: Path) -> None:
    third = make_run("third", machine=2)
    assert compare(*pair, third, "--out", tmp_path / "out").exit_code == 0
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"comparison.md", "comparison.csv", "comparison.png", "comparison.svg"}
    first, *_ = read_rows(tmp_path / "out" / "comparison.csv")
    assert (first["variant"], first["after"]) == ("torch tuned", "B")
    assert ET.parse(tmp_path / "out" / "comparison.svg").getroot().tag.endswith("svg")
    page = (tmp_path / "out" / "comparison.md").read_text()
    assert "## Speed, C against A" in page
    assert "| sequences/s | A | B | C |" in page
    refused = compare(*pair, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "name a new folder" in refused.output


def test_what_was_learned_in_one_run_only_is_said(make_run: Any) -> None:
    def forget(record: dict[str, Any]) -> None:
        for row in record["evaluation"]["lengths"]:
            row["wrong_bits"] = row["sequences"] * row["length"] * 4

    pair = make_run("before", machine=0), make_run("after", machine=1, change=forget)
    assert "torch tuned learned the task in A (bit error" in " ".join(compare(*pair).output.split())


def test_processes_that_did_not_end_ok_are_told(make_run: Any, tmp_path: Path) -> None:
    before, after = make_run("before", machine=0), make_run("after", machine=1)
    for path in [after / "cells" / f"torch-tuned-float32-seed0-r{repeat}.json" for repeat in range(3)]:
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"status": "diverged", "reason": "nan", "seed": 1}))
    document = json.loads(compare(before, after, "--json").stdout)
    assert any("figures are of those that did: torch tuned 5 of 8." in text for text in document["sentences"])
    [tuned] = [row for row in document["quality"] if (row["backend"], row["implementation"]) == ("torch", "tuned")]
    assert (tuned["seeds"], tuned["seeds_started"]) == ([1, 1], [1, 2])
    compare(before, after, "--out", tmp_path / "out")
    assert "| 1 and 1 of 2 |" in (tmp_path / "out" / "comparison.md").read_text()


def test_what_was_learned_alike_is_said_so(make_run: Any) -> None:
    document = json.loads(compare(make_run("before", machine=0), make_run("after", machine=1), "--json").stdout)
    assert "What was learned: bit errors over the trained lengths are the same." in document["sentences"]


def test_three_per_cent_wrong_bits_are_not_learned(make_run: Any) -> None:
    def forget(record: dict[str, Any]) -> None:
        for row in record["evaluation"]["lengths"]:
            row["wrong_bits"] = row["sequences"] * row["length"] * 8 * 3 // 100

    pair = make_run("before", machine=0), make_run("after", machine=1, change=forget)
    assert "torch tuned learned the task in A (bit error" in " ".join(compare(*pair).output.split())


def test_of_runs_for_speed_alone_learning_is_not_compared(make_run: Any, edit: Any) -> None:
    pair = make_run("before", machine=0), make_run("after", machine=1)
    assert "bit error" in compare(*pair).output
    for folder in pair:
        edit(folder, lambda run: run["configuration"]["evaluate"].update(learning=False))
    text = compare(*pair).output
    assert "bit error" not in text
    assert "learned" not in text


def test_names_and_values_of_records_are_only_text(make_run: Any, edit: Any) -> None:
    before, after = make_run("before", machine=0), make_run("after", machine=1)
    edit(after, lambda run: run["environment"].update(cpu="[red]\x1b[31m<b>|"))
    assert "[red] [31m<b>|" in compare(before, after).output
