"""The commands that repeat a run, into a folder of their own and never into the one that a reader has before them."""

from __future__ import annotations

import shlex

from harness.records.structs import RunFile

START = ("python", "-m", "harness")
# The options that name the run's own folder.
FOLDERS = ("--out", "--resume")
AGAIN = "results/again"


def repeat(run: RunFile) -> list[str]:
    """In the order in which they are to be typed: the command of each session that asked for something.

    A session that only went on with what was interrupted (`run --resume RUN`) adds nothing to a run that is made in
    one go, so it is left out.
    """
    stored = [session.command for session in run.sessions] or [run.command]
    first, *others = [_without_folder(command) for command in stored]
    further = [words for words in others if words[len(START) + 1 :]]
    if not first:
        return []
    if not further:
        return [shlex.join(first)]
    resumed = [[*words[: len(START) + 1], "--resume", AGAIN, *words[len(START) + 1 :]] for words in further]
    return [shlex.join(words) for words in ([*first, "--out", AGAIN], *resumed)]


def _without_folder(command: str) -> list[str]:
    """The words of a command but for FOLDERS and what they name; none of what a shell would not take."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    kept = [word for word, before in zip(words, ["", *words], strict=False) if not {word, before} & {*FOLDERS}]
    return [word for word in kept if not word.startswith(tuple(f"{option}=" for option in FOLDERS))]
