"""The comparison as tables of texts, for the terminal and for Markdown, and as rows for a CSV file."""

from __future__ import annotations

from harness.analysis.compare.comparison import RunComparison
from harness.analysis.compare.costs import CostChange
from harness.analysis.compare.quality import QualityChange
from harness.analysis.compare.speeds import FASTER, SLOWER, TOO_FEW, SpeedChange
from harness.analysis.comparisons import BUSY, NO_DIFFERENCE
from harness.analysis.costs import Cost
from harness.analysis.variants import NOT_VERIFIED
from harness.report.columns import COLUMNS
from harness.report.quantities import number, out_of, percent, ratio, setting, span
from harness.report.readable import Readable

Row = dict[str, object]

LONGEST_VALUE = 60
SHORT = {FASTER: "faster", SLOWER: "slower", NO_DIFFERENCE: "not shown", TOO_FEW: "too few", BUSY: "busy"}

# Of the costs, those that a reader compares; the JSON document and costs.csv have all.
COSTS: dict[Cost, str] = {
    "peak_memory_bytes": "peak memory",
    "cpu_ms": "CPU ms a step",
    "inference_sequences_per_s": "inference seq/s",
    "latency_ms": "latency, ms",
}


def runs_table(comparison: RunComparison) -> Readable:
    rows = [[run.letter, str(run.folder), run.run.file.preset, run.run.file.created] for run in comparison.runs]
    return Readable(["run", "folder", "preset", "created"], rows, [False] * 4, [])


def rates_table(comparison: RunComparison) -> Readable:
    """Sequences a second: a row for each variant, a column for each run."""
    keys = dict.fromkeys(key for run in comparison.runs for key in run.variants)
    rows = []
    for key in keys:
        variants = [run.variants.get(key) for run in comparison.runs]
        mark = NOT_VERIFIED if any(variant and variant.verified is False for variant in variants) else ""
        rows.append(
            [
                comparison.runs[0].labels[key] + mark,
                *(number(variant and variant.sequences_per_s) for variant in variants),
            ]
        )
    headers = ["sequences/s", *(run.letter for run in comparison.runs)]
    return Readable(headers, rows, [False] + [True] * len(comparison.runs), [])


def speed_table(changes: list[SpeedChange]) -> Readable:
    """The ratios of one run to the first."""
    before, after = changes[0].before, changes[0].after
    headers = [
        "trained",
        f"{before} seq/s",
        f"{after} seq/s",
        f"{after} / {before}",
        "95 % interval",
        "by prod.",
        "difference",
    ]
    rows = [
        [
            change.label + (NOT_VERIFIED if False in change.verified else ""),
            number(change.before_rate.estimate),
            number(change.after_rate.estimate),
            ratio(change.ratio.estimate),
            span(ratio(change.ratio.low), ratio(change.ratio.high)),
            ratio(change.normalised.estimate) if change.normalised else "",
            SHORT[change.conclusion],
        ]
        for change in changes
    ]
    return Readable(headers, rows, [False, True, True, True, True, True, False], [])


def cost_table(changes: list[CostChange]) -> Readable:
    """A row for each variant and cost: the values of one run and the first, and their ratio."""
    before, after = changes[0].before, changes[0].after
    headers = ["trained", "measured", before, after, f"{after} / {before}", "95 % interval"]
    rows = [
        [
            change.label,
            COSTS[change.cost],
            *(COLUMNS[change.cost].show(value.estimate) for value in (change.before_value, change.after_value)),
            ratio(change.ratio.estimate),
            span(ratio(change.ratio.low), ratio(change.ratio.high)),
        ]
        for change in changes
        if change.cost in COSTS
    ]
    return Readable(headers, rows, [False, False, True, True, True, True], [])


def quality_table(changes: list[QualityChange]) -> Readable:
    """What one run and the first learned."""
    before, after = changes[0].before, changes[0].after
    shown = {"bit_error": ("bit error", percent), "original_loss": ("original loss", number)}
    headers = ["trained", *(f"{head} {letter}" for head, _ in shown.values() for letter in (before, after)), "seeds"]
    rows = [
        [
            change.label,
            *(show(value) for name, (_, show) in shown.items() for value in change.values[name]),
            " and ".join(dict.fromkeys(map(out_of, change.seeds, change.seeds_started))),
        ]
        for change in changes
    ]
    return Readable(headers, rows, [False, *([True] * (len(headers) - 1))], [])


def surroundings_table(comparison: RunComparison) -> Readable:
    """A row for each value that differs between the runs."""
    headers = ["differs", *(run.letter for run in comparison.runs)]
    rows = [
        [item.name, *(_shorten(setting(value)) for value in item.values.values())] for item in comparison.surroundings
    ]
    return Readable(headers, rows, [False] * len(headers), [])


def speed_rows(changes: list[SpeedChange]) -> list[Row]:
    """For comparison.csv, unrounded."""
    return [
        {
            "variant": change.label,
            "before": change.before,
            "after": change.after,
            "before_sequences_per_s": change.before_rate.estimate,
            "after_sequences_per_s": change.after_rate.estimate,
            "ratio": change.ratio.estimate,
            "low": change.ratio.low,
            "high": change.ratio.high,
            "ratio_by_products": change.normalised.estimate if change.normalised else None,
            "before_processes": change.processes[0],
            "after_processes": change.processes[1],
            "conclusion": change.conclusion,
        }
        for change in changes
    ]


def cost_rows(changes: list[CostChange]) -> list[Row]:
    """For costs.csv, unrounded."""
    return [
        {
            "variant": change.label,
            "cost": change.cost,
            "before": change.before,
            "after": change.after,
            "before_value": change.before_value.estimate,
            "after_value": change.after_value.estimate,
            "ratio": change.ratio.estimate,
            "low": change.ratio.low,
            "high": change.ratio.high,
            "before_processes": change.processes[0],
            "after_processes": change.processes[1],
        }
        for change in changes
    ]


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
