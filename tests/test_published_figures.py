"""The figures in the pages are those of the published runs: each is computed again from a run's tables, and its row or
words are looked for in the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.report.quantities import percent, ratio, span
from tests.command import PROJECT, read_rows

PUBLISHED = PROJECT / "results" / "published"
THROUGHPUT = PUBLISHED / "amd-epyc-2-cores" / "throughput"
RANKS = PUBLISHED / "amd-epyc-2-cores" / "ranks"
QUICK, FULL, ORIGINAL = (PUBLISHED / "amd-epyc-zen-4-2-cores" / name for name in ("quick", "full", "original"))
NAMES = {"torch": "PyTorch", "jax": "JAX", "tensorflow": "TensorFlow"}
ORIGINAL_SEQUENCES = 4_000_000

Row = dict[str, str]


def table(run: Path, name: str) -> list[Row]:
    return read_rows(run / "tables" / f"{name}.csv")


def times_as_fast(run: Path, left: str, right: str) -> Row:
    """The comparison of two implementations of a run, the faster one on the left."""
    [row] = [each for each in table(run, "comparisons") if (each["left"], each["right"]) == (left, right)]
    return row


def interval(row: Row) -> str:
    return f"{ratio(float(row['low']))} to {ratio(float(row['high']))}"


def shown(values: list[float], show: str) -> str:
    """From the least to the largest, once where they are shown alike."""
    return span(format(min(values), show), format(max(values), show))


def whole(value: str) -> str:
    return f"{float(value):,.0f}"


def ceiling(run: Path) -> str:
    [best] = {whole(row["ceiling_gflop_per_s"]) for row in table(run, "ceiling")}
    return best


def same_twice(run: Path) -> str:
    [row] = [each for each in table(run, "comparisons") if each["a_a"] == "true"]
    return f"{ratio(float(row['ratio']))} ({interval(row)})"


def speeds() -> Iterator[str]:
    """The README's table of speeds, and what is said of it."""
    for row in table(THROUGHPUT, "summary"):
        rate, low, high = (whole(row[f"sequences_per_s{end}"]) for end in ("", "_low", "_high"))
        name = f"{NAMES[row['backend']]}, {row['implementation']}"
        share, startup = percent(round(float(row["ceiling_share"]), 2)), f"{float(row['startup_s']):.1f}"
        yield f"| {name} | {rate} | {low} to {high} | {share} | {startup} |"
    jax, tensorflow = (times_as_fast(THROUGHPUT, "torch tuned", f"{name} tuned") for name in ("jax", "tensorflow"))
    for row, other, sure in ((jax, "JAX", "95 % interval "), (tensorflow, "TensorFlow", "")):
        yield f"{ratio(float(row['ratio']))} times as fast as tuned {other} ({sure}{interval(row)})"
    ratios = [float(times_as_fast(THROUGHPUT, f"{name} tuned", f"{name} idiomatic")["ratio"]) for name in NAMES]
    yield f"each tuned implementation is {shown(ratios, '.1f')} times as fast as what its framework's"
    yield f"in a matrix product of the model's shapes: {ceiling(THROUGHPUT)} GFLOP/s"
    yield f"compared with itself gave a ratio of {same_twice(THROUGHPUT)}"


def gains(run: Path, of_ms: str, of_ratios: str) -> Iterator[str]:
    """A table of docs/tuning.md in these formats, and what is said of it."""
    rows = {(row["backend"], row["implementation"]): row for row in table(run, "summary")}
    for name in NAMES:
        steps = [format(float(rows[name, each]["step_ms"]), of_ms) for each in ("idiomatic", "tuned")]
        share = percent(round(float(rows[name, "tuned"]["ceiling_share"]), 2))
        gain = times_as_fast(run, f"{name} tuned", f"{name} idiomatic")
        estimate, low, high = (format(float(gain[each]), of_ratios) for each in ("ratio", "low", "high"))
        yield f"| {name} | {steps[0]} | {steps[1]} | {share} | {estimate} ({low} to {high}) |"
    yield f"The ceiling was {ceiling(run)} GFLOP/s"
    yield f"PyTorch against itself gave {same_twice(run)}"


def tuning() -> Iterator[str]:
    """Both tables of docs/tuning.md, and the suite's own share of the time."""
    yield from gains(THROUGHPUT, ".1f", ".2f")
    yield from gains(QUICK, ".2f", ".1f")
    overhead = max(100 * float(row["overhead_share"]) for row in table(THROUGHPUT, "summary"))
    yield f"took at most {overhead:.2f} % of the steady time"


def arrivals() -> list[Row]:
    return table(FULL, "time_to_target")


def exact(cell: Row, length: int) -> float:
    """The share of the cell's test sequences of this length that are copied without a wrong bit."""
    [row] = [
        each
        for each in table(FULL, "bit_error_by_length")
        if (each["backend"], each["seed"], int(each["length"])) == (cell["backend"], cell["seed"], length)
    ]
    return float(row["exact_fraction"])


def learned() -> Iterator[str]:
    """What docs/learning.md says of `full`."""
    for cell in arrivals():
        record = json.loads((FULL / "cells" / f"{name_cell(cell)}.json").read_text())
        test = record["evaluation"]["test"]
        excess = test["original_loss"] - test["original_loss_floor"]
        yield (
            f"| {cell['backend']} tuned | {cell['seed']} | {int(cell['sequences_to_target']):,}"
            f" | {float(cell['seconds_to_target']):.0f} | {test['original_loss']:.5f} | {excess:.5f}"
            f" | {test['wrong_bits_per_sequence']:.4f} | {exact(cell, 10):.0%} | {exact(cell, 20):.1%} |"
        )

    shares = [100 * float(cell["sequences_to_target"]) / ORIGINAL_SEQUENCES for cell in arrivals()]
    yield f"Sequences to target are {shown(shares, '.1f')} % of the original's"
    counts = read_rows(FULL / "predictions" / "wrong_bits.csv")
    wrong = {(row["backend"], row["length"]): row["wrong_bits"] for row in counts}
    assert {wrong[name, length] for name in NAMES for length in ("10", "20")} == {"0"}
    yield "{} (torch), {} (jax) and {} (tensorflow) of 320".format(*(wrong[name, "40"] for name in NAMES))
    yield "{}, {} and {} of 960".format(*(wrong[name, "120"] for name in NAMES))


def originals_shares() -> dict[str, str]:
    """By length, the share of the test sequences that the original's own recipe copies without a wrong bit, in %."""
    rows = table(ORIGINAL, "bit_error_by_length")
    return {row["length"]: f"{100 * float(row['exact_fraction']):g}" for row in rows}


def originals_claims() -> Iterator[str]:
    """What the README says of the original's own recipe."""
    [cell] = table(ORIGINAL, "summary")
    share = originals_shares()
    yield f"in PyTorch with one seed, reached {float(cell['original_loss']):.4f} ("
    yield f"by its recipe: {share['10']} % of the test sequences are exact"
    yield f"by its recipe: {share['20']} % of the sequences are exact"


def originals_learning() -> Iterator[str]:
    """What docs/learning.md says of it."""
    [cell] = table(ORIGINAL, "summary")
    loss, excess = float(cell["original_loss"]), float(cell["original_loss_excess"])
    share = originals_shares()
    yield f"a loss of {loss:.5f} on its own test, {excess:.5f} above the least possible"
    yield f"It has {float(cell['wrong_bits_per_sequence']):.4f} wrong bits a sequence"
    yield f"{share['10']} % of the test sequences of length 10 and {share['20']} % of those of length 20"
    wrong = [row["wrong_bits"] for row in read_rows(ORIGINAL / "predictions" / "wrong_bits.csv")]
    yield f"it has {', '.join(wrong[:-1])} and {wrong[-1]} bits wrong"
    assert table(ORIGINAL, "evaluations")[-1]["sequences"] == str(ORIGINAL_SEQUENCES)


def name_cell(cell: Row) -> str:
    return "{backend}-{implementation}-{precision}-seed{seed}-r{repeat}".format(**cell)


def claims() -> Iterator[str]:
    """What the README says of `full`."""
    sequences = shown([float(cell["sequences_to_target"]) for cell in arrivals()], ",.0f")
    seconds = shown([float(cell["seconds_to_target"]) for cell in arrivals()], ".0f")
    yield f"reached after {sequences} sequences by a recipe of ours"
    yield f"in {seconds} s on two CPU cores"
    yield f"by `full`: {validated('wrong_bits_per_sequence', 64_000)} after 64,000, at most 0.1 after {sequences}"
    bits = [validated("bits_per_sequence", after) for after in (104_000, 160_000)]
    yield f"{bits[0]} bits after 104,000 sequences and {bits[1]} after 160,000"
    at_20 = [100 * exact(cell, 20) for cell in arrivals()]
    yield f"by `full`: {min(at_20):g} to {max(at_20):g} % of the sequences are exact"
    assert {exact(cell, 10) for cell in arrivals()} == {1.0}
    yield "by `full`: every test sequence of length 10 is exact"


def validated(measure: str, after: int) -> str:
    """What the cells of `full` had on validation data after so many sequences."""
    rows = [row for row in table(FULL, "evaluations") if row["sequences"] == str(after)]
    return shown([float(row[measure]) for row in rows], ".2f")


def rates_of_ranks() -> Iterator[str]:
    """The table of docs/scaling.md."""
    for row in read_rows(RANKS / "sweep.csv"):
        if row["axis"].startswith("ranks-") and row["value"] == "2":
            rate, scaling = whole(row["sequences_per_s"]), row["axis"].removeprefix("ranks-")
            efficiency, low, high = (f"{100 * float(row[f'efficiency{end}']):.0f} %" for end in ("", "_low", "_high"))
            share = percent(float(row["exchange_share"]))
            yield f"| {scaling} | {row['backend']} | {rate} | {efficiency} | {low} to {high} | {share} |"


def momentum() -> Iterator[str]:
    """The errors at runs' own sizes in docs/exceptions.md."""
    for run, shape in ((QUICK, "20 steps of 16 x 12"), (FULL, "a step of 8 x 42"), (THROUGHPUT, "5 steps of 100 x 42")):
        verified = json.loads((run / "run.json").read_text())["verification"]
        worst = [each for one in verified for each in one["worst"] if each["quantity"] == "momentum"]
        largest = max(worst, key=lambda each: float(each["error"]))
        assert largest["case"] == shape
        yield f"| `{run.name}` | {shape} | {largest['error']:.1e} |"


PAGES: dict[str, list[Callable[[], Iterator[str]]]] = {
    "README.md": [speeds, claims, originals_claims],
    "docs/tuning.md": [tuning],
    "docs/learning.md": [learned, originals_learning],
    "docs/scaling.md": [rates_of_ranks],
    "docs/exceptions.md": [momentum],
}


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_figures_are_those_of_the_published_runs(page: str) -> None:
    text = " ".join((PROJECT / page).read_text("utf-8").split())
    expected = [each for says in PAGES[page] for each in says()]
    assert expected
    assert [each for each in expected if each not in text] == []
