"""Examples for each command's --help. Tests run every one of them."""

from __future__ import annotations

EXAMPLES = {
    "main": {
        "python -m harness run": "train whatever is installed, for some minutes, and report",
        "python -m harness list": "what is installed, and the presets",
    },
    "run": {
        "python -m harness run": "all that is installed, the preset quick",
        "python -m harness run --backend torch,jax --repeats 6": "enough repeats for an interval",
        "python -m harness run --preset original --set train.steps=4000": "another recipe, a tenth of its steps",
        "python -m harness run -q --out results/nightly": "for scripts: prints the folder alone",
    },
    "sweep": {
        "python -m harness sweep --sweep batch=16,64 --sweep hidden=128,256": "each axis varied alone",
    },
    "verify": {
        "python -m harness verify": "all that is installed",
        "python -m harness verify --backend torch --precision float64 --json": "the worst errors as JSON",
    },
    "report": {
        "python -m harness report results/before": "tables, plots and pages again, from the records",
    },
    "compare": {
        "python -m harness compare results/before results/after": "ratios, quality and what differs",
        "python -m harness compare results/before results/after --fail-if-slower 5%": "exit 1 for CI",
        "python -m harness compare results/before results/after --out results/compared": "with a plot",
    },
    "export": {
        "python -m harness export results/before --format pyperf --out before.json": "for pyperf compare_to",
        "python -m harness export results/before --format tensorboard --out events": "for tensorboard --logdir",
    },
    "list": {
        "python -m harness list --preset original": "parameters that each framework counts in the preset's network",
    },
    "env": {
        "python -m harness env --json": "everything, with the version of every package",
    },
}


def show_examples(command: str) -> str:
    """The epilog of the command's help. The first line tells click to leave the line ends alone."""
    lines = [f"  {example}\n      {meaning}" for example, meaning in EXAMPLES[command].items()]
    return "\n".join(["\b", "Examples:", *lines])
