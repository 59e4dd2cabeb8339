"""The stages that a cell's time is made of, in the order in which they begin: the one list of them.

A record's timeline has the seconds of each stage, which add up to those of TOTAL.
"""

from __future__ import annotations

from dataclasses import dataclass

TOTAL = "total_s"
# What a process does once; a cell that was resumed did it in each of its processes.
PROCESS_STAGES = ("spawn_s", "import_s", "build_s")
STARTUP_STAGES = (*PROCESS_STAGES, "first_step_s")


@dataclass(frozen=True)
class Stage:
    """name is the key in the timeline; part, the part of "Where the time went" that the stage is drawn in; a stage that
    is not always there may be missing from the record of a cell that ended ok."""

    name: str
    header: str
    meaning: str
    part: str
    is_always_there: bool = True


TRAINING, COMPILING, EVALUATION, OTHER = "training steps", "build, compile and first steps", "evaluation", "other"

STAGES = (
    Stage("spawn_s", "spawn, s", "starting the process", OTHER),
    Stage("import_s", "import, s", "importing the framework", "import"),
    Stage("build_s", "build, s", "making the model and moving the parameters into it", COMPILING),
    Stage("first_step_s", "first step, s", "the first optimiser step, compilation included", COMPILING),
    Stage(
        "recompile_s",
        "further shapes, s",
        "what the first calls of further shapes of data took beyond the steady pace",
        COMPILING,
        is_always_there=False,
    ),
    Stage("steady_s", "training, s", "all later optimiser steps", TRAINING),
    Stage(
        "data_s",
        "waiting for data, s",
        "training waited for its batches, which a thread makes ahead",
        "waiting for data",
    ),
    Stage("validation_s", "validation, s", "evaluations while training went on", EVALUATION, is_always_there=False),
    Stage(
        "checkpoint_s", "checkpoints, s", "reading and sending the state to resume from", OTHER, is_always_there=False
    ),
    Stage("evaluation_s", "evaluation, s", "measuring the trained model", EVALUATION),
    Stage("inference_s", "inference, s", "timing the trained model in use", EVALUATION, is_always_there=False),
    Stage("other_s", "other, s", "what is left of the total", OTHER),
)
STAGE_NAMES = tuple(stage.name for stage in STAGES)
# In the order in which they are drawn.
PARTS = tuple(dict.fromkeys([TRAINING, *(stage.part for stage in STAGES if stage.part != OTHER), OTHER]))


def part_of(name: str) -> str:
    """The part that a stage is drawn in; of a stage that is not known, OTHER, so that what is drawn is the total."""
    return next((stage.part for stage in STAGES if stage.name == name), OTHER)
