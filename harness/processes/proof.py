"""One implementation against the oracle: observed in a fresh process that knows no oracle, compared here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from backends import Backend
from backends.contract import Parameters
from harness.cells.requests import Verify
from harness.processes.process import INTERRUPTED, Outcome, Resources, missing_reason
from harness.processes.ranks import Hear, run_together
from harness.proof.calls import TrainingCall
from harness.proof.cases import Case
from harness.proof.comparison import Deviation, compare
from harness.proof.oracle import expect
from harness.records.durable import temporary_folder
from harness.records.messages import Message, Observation, Unsupported

Cases = Mapping[str, Sequence[Case | TrainingCall]]


@dataclass(frozen=True)
class Proof:
    """How far an implementation is from the oracle in every tensor of every case.

    status and reason say how its process ended; unsupported, what it could not compute and why.
    """

    backend: str
    implementation: str
    status: str
    reason: str | None = None
    deviations: list[Deviation] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """True where something was compared, nothing went wrong, and every tensor is within its tolerance."""
        return self.status == "ok" and bool(self.deviations) and not self.excesses()

    def excesses(self) -> list[Deviation]:
        return [deviation for deviation in self.deviations if not deviation.within]

    def failure(self) -> str | None:
        """Why this is no proof, in one line; None where it is one."""
        if self.verified:
            return None
        if self.status != "ok":
            return f"{self.status}: {self.reason}" if self.reason else self.status
        if self.excesses():
            return max(self.excesses(), key=lambda each: each.error / each.tolerance).describe()
        return "; ".join(self.unsupported) or "nothing was observed"


@dataclass(frozen=True)
class Observations:
    """What a worker observed, what it could not compute, and how it ended."""

    outcome: Outcome
    observed: list[tuple[Observation, Parameters]] = field(default_factory=list)
    unsupported: list[Unsupported] = field(default_factory=list)


def hear_into(observations: Observations) -> Hear:
    """Keeps what messages tell."""

    def hear(message: Message) -> None:
        if isinstance(message.body, Observation):
            observations.observed.append((message.body, message.arrays))
        elif isinstance(message.body, Unsupported):
            observations.unsupported.append(message.body)

    return hear


def prove(backend: Backend, implementation: str, cases: Cases, resources: Resources) -> Proof:
    """Compare an implementation with the oracle in the cases of each precision. Never raises for what it does."""
    return judge(backend, implementation, cases, observe_in_worker(backend, implementation, cases, resources))


def observe_in_worker(backend: Backend, implementation: str, cases: Cases, resources: Resources) -> Observations:
    """Have a fresh process, or one for each rank, observe the cases."""
    if missing := backend.missing_packages():
        return Observations(Outcome("not_installed", missing_reason(backend, missing)))
    heard = Observations(Outcome("ok"))
    with temporary_folder() as folder:
        log = folder / "verify.log"
        outcome = run_together(verify_job(backend, implementation, cases), resources, log, hear_into(heard))
    return replace(heard, outcome=outcome)


def verify_job(backend: Backend, implementation: str, cases: Cases) -> Verify:
    """What a worker is asked for, to observe the cases."""
    return Verify(
        backend=backend.name,
        implementation=implementation,
        cases={name: [case for case in chosen if isinstance(case, Case)] for name, chosen in cases.items()},
        calls={name: [case for case in chosen if isinstance(case, TrainingCall)] for name, chosen in cases.items()},
    )


def judge(backend: Backend, implementation: str, cases: Cases, observations: Observations) -> Proof:
    """Compare what was observed with what the oracle expects."""
    status, reason = observations.outcome.status, observations.outcome.reason
    try:
        deviations, unsupported = _compare_all(cases, observations)
    except (KeyError, ValueError) as error:
        status, reason = "failed", f"an observation is malformed: {type(error).__name__}: {error}"
        deviations, unsupported = [], []
    except InterruptedError as error:
        status, reason, deviations, unsupported = INTERRUPTED, str(error), [], []
    if status == "ok" and (unseen := _find_unseen(cases, observations)):
        status, reason = "failed", f"nothing was observed of {unseen}"
    return Proof(backend.name, implementation, status, reason, deviations, unsupported)


def _compare_all(cases: Cases, observations: Observations) -> tuple[list[Deviation], list[str]]:
    named = {case.name: case for chosen in cases.values() for case in chosen}
    deviations: list[Deviation] = []
    for about, arrays in observations.observed:
        has_state = any(array.startswith("momentum/") for array in arrays)
        expected = expect(named[about.case], has_state=has_state)
        deviations += compare(about.case, about.precision, arrays, expected)
    unsupported = dict.fromkeys(f"{about.precision}: {about.reason}" for about in observations.unsupported)
    return deviations, list(unsupported)


def _find_unseen(cases: Cases, observations: Observations) -> str | None:
    """The first case that nothing was told about."""
    told: list[Observation | Unsupported] = [*observations.unsupported]
    told += [about for about, _ in observations.observed]
    seen = {(about.precision, about.case) for about in told}
    asked = ((precision, case.name) for precision, chosen in cases.items() for case in chosen)
    return next((f"{name}, {precision}" for precision, name in asked if (precision, name) not in seen), None)
