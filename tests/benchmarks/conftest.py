"""The ratios of the peers' step times to the suite's own, collected by the tests and printed when they have ended."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness.analysis.stats import Interval, excludes_one, largest_coverage, ratio_interval
from harness.report import quantities

COLUMNS = "{:<11} {:<6} {:<14} {:>9} {:>8} {:>11}  {:<16} {:>9}  {}"
HEADERS = (
    "framework",
    "shape",
    "implementation",
    "peer, ms",
    "own, ms",
    "peer / own",
    "95 % interval",
    "processes",
    "",
)


@dataclass(frozen=True)
class Comparison:
    """One implementation beside its framework's peer: step times in ms, one of each for every round."""

    framework: str
    shape: str
    implementation: str
    peer_ms: list[float]
    own_ms: list[float]

    @property
    def ratio(self) -> Interval:
        """The peer's step time over ours, above 1 where the peer is slower."""
        return ratio_interval(self.peer_ms, self.own_ms)

    def describe(self) -> str:
        """A row of the summary."""
        show = quantities.ratio
        bounds = quantities.span(show(self.ratio.low), show(self.ratio.high))
        remark = "" if excludes_one(self.ratio) else "no difference shown"
        times = [f"{statistics.median(samples):.2f}" for samples in (self.peer_ms, self.own_ms)]
        names = (self.framework, self.shape, self.implementation)
        return COLUMNS.format(*names, *times, show(self.ratio.estimate), bounds, len(self.own_ms), remark).rstrip()


COMPARISONS = pytest.StashKey[list[Comparison]]()


@pytest.fixture
def make_comparison() -> type[Comparison]:
    """Comparison, which a test cannot import from here."""
    return Comparison


@pytest.fixture
def comparisons(pytestconfig: pytest.Config) -> list[Comparison]:
    """What is printed at the end of the session."""
    return pytestconfig.stash.setdefault(COMPARISONS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if compared := config.stash.get(COMPARISONS, []):
        terminalreporter.section("a training step: what a user would otherwise write (peer) beside this suite (own)")
        for line in summary_lines(compared):
            terminalreporter.write_line(line)


def summary_lines(compared: list[Comparison]) -> Iterator[str]:
    yield COLUMNS.format(*HEADERS).rstrip()
    yield from (comparison.describe() for comparison in compared)
    n_processes = min(len(comparison.own_ms) for comparison in compared)
    share = largest_coverage(n_processes)
    yield f"Medians over fresh processes; of {n_processes} processes an interval can cover {share:.1%} at most."
