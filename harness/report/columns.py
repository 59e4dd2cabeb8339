"""The columns of every table: their order in the CSV files, and how each is headed, shown and explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from harness.analysis.distance import LossDistance
from harness.analysis.rows import (
    CeilingRow,
    ComparisonRow,
    EvaluationRow,
    LengthRow,
    LossRow,
    NotOkRow,
    PositionRow,
    ProductRow,
    QualityRow,
    TargetRow,
    ThroughputRow,
)
from harness.analysis.scaling import SweepRow
from harness.analysis.summary import SummaryRow
from harness.records.stages import STAGE_NAMES, STAGES, TOTAL
from harness.report.quantities import bytes_text, flag, integer, number, percent, ratio, text, until

TIMELINE = (*STAGE_NAMES, TOTAL)

# How many columns of a table, from its first, others read: they stay, in this order. More may follow.
N_FIXED = {"summary": 15, "loss": 9, "bit_error_by_length": 9, "throughput": 9}

# Rows that tell of a cell's stages have a column for each.
TIMELINE_COLUMNS = (
    "cell",
    "backend",
    "implementation",
    "precision",
    "seed",
    "repeat",
    "status",
    *TIMELINE,
    "verified",
    "data_cpu_s",
)
# What a row has beside the columns of its file.
NO_COLUMN = "marked_label"


def _columns_of(row: type) -> tuple[str, ...]:
    """The fields of a row are the columns of its table."""
    return tuple(field.name for field in fields(row) if field.name != NO_COLUMN)


# In the files.
TABLES = {
    "summary": _columns_of(SummaryRow),
    "comparisons": _columns_of(ComparisonRow),
    "ceiling": _columns_of(CeilingRow),
    "products": _columns_of(ProductRow),
    "loss": _columns_of(LossRow),
    "bit_error_by_length": _columns_of(LengthRow),
    "time_to_target": _columns_of(TargetRow),
    "evaluations": _columns_of(EvaluationRow),
    "quality_comparisons": _columns_of(QualityRow),
    "bit_error_by_position": _columns_of(PositionRow),
    "throughput": _columns_of(ThroughputRow),
    "timeline": TIMELINE_COLUMNS,
    "loss_distance": _columns_of(LossDistance),
    "not_ok": _columns_of(NotOkRow),
    "sweep": _columns_of(SweepRow),
}

# For a reader: fewer, and in the order of interest; an interval is one column of two.
SHOWN = {
    table: columns.split()
    for table, columns in {
        "summary": """
            rank backend implementation sequences_per_s sequences_per_s_interval seconds_to_target
            sequences_to_target seeds_reached bit_error wrong_bits_per_sequence ceiling_share step_ms cpu_ms
            gflop_per_s ranks exchange_share train_loss original_loss original_loss_excess bits_per_sequence
            mean_absolute_error startup_s overhead_share peak_memory_bytes process_memory_bytes
            inference_sequences_per_s inference_interval latency_ms latency_interval latency_p95_ms n_parameters
            verified precision device status seeds cells timed_cells reason""",
        "comparisons": "left right ratio ratio_interval repeats conclusion precision device",
        "products": "precision device backend way product gflop_per_s rate_range samples is_ceiling",
        "bit_error_by_length": """
            backend implementation precision seed repeat length trained sequences bit_error bit_error_interval
            exact_fraction bits_per_sequence bits_by_chance mean_absolute_error original_loss original_loss_excess""",
        "time_to_target": """
            backend implementation precision device seed repeat seconds_to_target sequences_to_target steps_to_target
            original_loss wrong_bits_per_sequence resumed status""",
        "quality_comparisons": "measure left right difference difference_interval seeds_compared conclusion precision",
        "throughput": """
            backend implementation precision device seed repeat sequences_per_s step_ms_median step_ms_p5
            step_ms_p95 steps overhead_share other_cpu_share""",
        "timeline": f"backend implementation precision seed repeat status {' '.join(TIMELINE)} data_cpu_s",
        "loss_distance": "seed left right steps largest_relative_distance_first_100 largest_relative_distance",
        "not_ok": "cell status reason",
        "sweep": """
            value backend implementation precision sequences_per_s step_ms gflop_per_s ceiling_share efficiency
            efficiency_interval exchange_share verified status reason""",
    }.items()
}

# What tells rows apart moves beside the implementation, but only where rows differ in it.
TELLING = ("precision", "device", "status")

# A count that is shown with what it is out of, where that is more.
OUT_OF = {"cells": "cells_started", "seeds_compared": "seeds_started"}

# The bounds that an interval's column is made of.
BOUNDS = {
    "sequences_per_s_interval": ("sequences_per_s_low", "sequences_per_s_high"),
    "efficiency_interval": ("efficiency_low", "efficiency_high"),
    "ratio_interval": ("low", "high"),
    "rate_range": ("low", "high"),
    "bit_error_interval": ("bit_error_low", "bit_error_high"),
    "difference_interval": ("low", "high"),
    "inference_interval": ("inference_sequences_per_s_low", "inference_sequences_per_s_high"),
    "latency_interval": ("latency_ms_low", "latency_ms_high"),
}


@dataclass(frozen=True)
class Column:
    """The header a reader sees, the text of a value, and what the column means (empty where the header says it)."""

    header: str
    show: Callable[[object], str]
    meaning: str = ""

    @property
    def is_numeric(self) -> bool:
        return self.show not in (text, flag)


# The ranking for a glance, of which the first that have a value are shown, so that a page holds it without scrolling;
# the summary has all.
RANKING = (
    "rank",
    "marked_label",
    "sequences_per_s",
    "sequences_per_s_interval",
    "seconds_to_target",
    "bit_error",
    "ceiling_share",
    "verified",
    "status",
    "step_ms",
    "startup_s",
    "gflop_per_s",
)
MOST_RANKING_COLUMNS = 9

COLUMNS = {
    "backend": Column("backend", text, "the framework"),
    "implementation": Column(
        "implementation",
        text,
        "idiomatic: the way the framework's own documentation would write it; tuned: made fast, with the same results",
    ),
    "marked_label": Column(
        "implementation",
        text,
        "framework and implementation, with what makes its figures doubtful; idiomatic: the way the framework's own"
        " documentation would write it; tuned: made fast, with the same results",
    ),
    "precision": Column("precision", text, "the number format of the computation"),
    "device": Column("device", text),
    "status": Column("status", text, "ok, or how the cell ended; its reason is given with it"),
    "seeds": Column("seeds", text, "the random seeds run; numbers are medians over all ok cells, seeds and repeats"),
    "train_loss": Column(
        "train loss, nats", number, "the mean cross-entropy of the last 100 training batches, padding included"
    ),
    "original_loss": Column(
        "original loss, nats", number, "the loss metric of the script this suite started from, on the test set"
    ),
    "original_loss_floor": Column(
        "original loss floor, nats", number, "the least the original loss can be on that test set"
    ),
    "original_loss_excess": Column(
        "excess over floor, nats", number, "original loss less the least it can be: soft targets cost their entropy"
    ),
    "bits_per_sequence": Column(
        "bits a sequence",
        number,
        "the paper's measure: cross-entropy in base 2 summed over the due bits, mean over sequences",
    ),
    "bit_error": Column(
        "bit error", percent, "wrong bits over all due bits (in the summary: of the trained lengths); 50 % is chance"
    ),
    "bit_error_interval": Column(
        "95 % interval",
        percent,
        "exact binomial interval with the effective number of bits: those of one sequence go wrong together",
    ),
    "bits_by_chance": Column("by chance", integer, "bits a sequence that guessing costs, one for each bit"),
    "mean_absolute_error": Column(
        "mean absolute error", number, "the error metric of the script this suite started from, over all outputs"
    ),
    "wrong_bits_per_sequence": Column(
        "wrong bits a sequence", number, "mean over held-out sequences of mixed lengths as in training"
    ),
    "seconds_to_target": Column(
        "to target, s",
        until,
        "from before the first batch until validation data first met the target, evaluations included; median over"
        " all seeds started, of which one that never arrives counts as infinite, however it ended",
    ),
    "sequences_to_target": Column("sequences to target", until, "training sequences until then"),
    "steps_to_target": Column("steps to target", until, "optimiser steps until then"),
    "seeds_reached": Column("seeds arrived", text, "seeds that met the target, of all started"),
    "resumed": Column("resumed", integer, "how often the cell went on in a new process after a stop"),
    "measure": Column("measure", text, "less is better in all of them"),
    "difference": Column("difference", number, "the mean over seeds of left less right, on the same seed and data"),
    "difference_interval": Column(
        "95 % interval", number, "Student's interval of paired samples; where it holds 0 no difference is shown"
    ),
    "seeds_compared": Column(
        "seeds",
        integer,
        "seeds with a pair to compare; of how many, where one of a pair did not end ok",
    ),
    "sequences_per_s": Column(
        "sequences/s", number, "batch size over the median time of a steady training step; waiting for data is left out"
    ),
    "sequences_per_s_interval": Column(
        "95 % interval",
        number,
        "bootstrap interval of the median over processes; empty where each ran once",
    ),
    "gflop_per_s": Column(
        "GFLOP/s",
        number,
        "1e9 floating-point operations a second; of a training step: 6 for each parameter, time step and sequence",
    ),
    "ceiling_share": Column(
        "of the ceiling",
        percent,
        "GFLOP/s over those of the fastest matrix product that was timed, whichever framework's",
    ),
    "ranks": Column("ranks", integer, "processes that train the network together; empty where there is one"),
    "exchange_share": Column(
        "exchange", percent, "the time of an exchange of all gradients, taken by itself, over that of a step"
    ),
    "value": Column("value", integer, "the value of the axis"),
    "efficiency": Column("efficiency", percent, "sequences/s over the number of ranks times those of one process"),
    "efficiency_interval": Column("95 % interval", percent, "bootstrap interval of that ratio over processes"),
    "overhead_share": Column(
        "overhead", percent, "the suite's own share of the steady time: waiting for data, timing and recording"
    ),
    "other_cpu_share": Column(
        "other processes", percent, "the share of the machine's processors that others used while the cell trained"
    ),
    "ratio": Column("ratio", ratio, "the sequences/s of left over those of right, as they are ranked"),
    "ratio_interval": Column(
        "95 % interval",
        ratio,
        "bootstrap interval of the ratio, repeats drawn in pairs; where it holds 1 no difference is shown",
    ),
    "repeats": Column(
        "pairs",
        integer,
        "processes of one seed and repeat, which ran close together; empty where all processes of both are compared",
    ),
    "conclusion": Column("conclusion", text),
    "product": Column("product", text),
    "way": Column("way", text, "how the framework multiplied; in earlier runs each had one way"),
    "rate_range": Column("lowest to highest", number, "how far the rate drifted over the run"),
    "samples": Column("samples", integer),
    "is_ceiling": Column("ceiling", flag, "the best median of its precision and device"),
    "cells": Column(
        "processes",
        integer,
        "fresh processes behind the row; of how many started, where some ended otherwise",
    ),
    "timed_cells": Column(
        "processes timed",
        integer,
        "of these, those behind sequences/s, the step and the ceiling: of the seeds and repeats that all ranked"
        " implementations of a precision and device have, or all where none is common",
    ),
    "step_ms": Column("step, ms", number, "the median steady optimiser step"),
    "step_ms_median": Column("median step, ms", number, "the median steady optimiser step; warm-up is left out"),
    "step_ms_p5": Column("5th percentile, ms", number, "one step in twenty was faster"),
    "step_ms_p95": Column("95th percentile, ms", number, "one step in twenty was slower"),
    "startup_s": Column("startup, s", number, "from starting the process to the end of its first step"),
    "cpu_ms": Column(
        "CPU time a step, ms",
        number,
        "of all threads of the process, the median over the same steps; over the step's time it is how many processors"
        " were busy, waiting in a loop included",
    ),
    "peak_memory_bytes": Column(
        "peak memory",
        bytes_text,
        "the most device memory held; on a CPU, what the process held at the most beyond what it held before the model"
        " was built",
    ),
    "process_memory_bytes": Column(
        "whole process", bytes_text, "the most memory that the process held, its libraries included"
    ),
    "inference_sequences_per_s": Column(
        "inference, sequences/s",
        number,
        "sequences of the longest trained length a second, in calls with many sequences of the trained network",
    ),
    "inference_interval": Column("95 % interval", number, "bootstrap interval of the median over processes"),
    "latency_ms": Column("latency, ms", number, "the median call with one sequence of that length"),
    "latency_interval": Column("95 % interval", number, "bootstrap interval of the median over processes"),
    "latency_p95_ms": Column("latency, 95th percentile, ms", number, "one such call in twenty took longer"),
    "n_parameters": Column("parameters", integer, "trainable numbers in the model"),
    "verified": Column(
        "verified",
        flag,
        "whether its mathematics was checked against the reference; what failed the check is not ranked",
    ),
    "rank": Column(
        "rank",
        integer,
        "by sequences/s, among what is ok and did not fail verification; none where the machine was busy",
    ),
    "reason": Column("reason", text),
    "cell": Column("cell", text),
    "seed": Column("seed", integer),
    "repeat": Column("repeat", integer, "which of several runs of the same cell, each in a fresh process"),
    "length": Column("length", integer, "vectors in the pattern to be copied"),
    "trained": Column("trained", flag, "whether training showed sequences of this length"),
    "sequences": Column("sequences", integer, "test sequences of this length"),
    "exact_fraction": Column("exact copies", percent, "sequences without a wrong bit"),
    "steps": Column("steps", integer, "optimiser steps behind the row"),
    **{stage.name: Column(stage.header, number, stage.meaning) for stage in STAGES},
    TOTAL: Column("total, s", number, "the cell from start to end"),
    "data_cpu_s": Column(
        "making data, CPU s", number, "CPU seconds of the thread that makes the batches beside training: no stage"
    ),
    "left": Column("left", text),
    "right": Column("right", text),
    "largest_relative_distance_first_100": Column(
        "first 100 steps",
        percent,
        "the largest |a - b| / max(|a|, |b|) of two training losses at the same step, up to step 100",
    ),
    "largest_relative_distance": Column(
        "whole run", percent, "the same over all steps: rounding grows as training goes on, so this says little"
    ),
}
