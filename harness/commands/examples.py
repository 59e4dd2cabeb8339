"""Examples for each command's --help. Tests run every one of them."""

from __future__ import annotations

EXAMPLES = {
    "main": {
        "python -m harness run": "train all installed frameworks for some minutes and report",
        "python -m harness list": "show the presets and what is installed",
    },
    "run": {
        "python -m harness run": "all installed frameworks, preset quick",
        "python -m harness run --backend torch,jax --repeats 6": "enough repeats for an interval",
        "python -m harness run --preset original --set train.steps=4000": "another preset, with a tenth of its steps",
        "python -m harness run -q --out results/nightly": "for scripts: print only the folder",
    },
    "sweep": {
        "python -m harness sweep --sweep batch=16,64 --sweep hidden=128,256": "vary one axis at a time",
    },
    "verify": {
        "python -m harness verify": "all installed frameworks",
        "python -m harness verify --backend torch --precision float64 --json": "the worst errors as JSON",
    },
    "report": {
        "python -m harness report results/before": "make tables, plots and pages again",
    },
    "compare": {
        "python -m harness compare results/before results/after": "ratios, quality and differences",
        "python -m harness compare results/before results/after --fail-if-slower 5%": "exit with 1 if slower, for CI",
        "python -m harness compare results/before results/after --out compared": "with a plot",
    },
    "export": {
        "python -m harness export results/before --format pyperf --out before.json": "for pyperf compare_to",
        "python -m harness export results/before --format tensorboard --out events": "for tensorboard --logdir",
    },
    "list": {
        "python -m harness list --preset original": "parameters of the preset's network in each framework",
    },
    "env": {
        "python -m harness env --json": "everything, with the version of every package",
    },
}


def show_examples(command: str) -> str:
    """The epilog of the command's help. The first line tells click to leave the line ends alone."""
    lines = [f"  {example}\n      {meaning}" for example, meaning in EXAMPLES[command].items()]
    return "\n".join(["\b", "Examples:", *lines])
