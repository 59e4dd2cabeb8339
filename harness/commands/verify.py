"""The command `verify`: prove every chosen implementation, print the worst errors, and say whether all is well."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
from rich.console import Console

from harness.commands.output import make_console, print_json
from harness.machine import find_processors
from harness.machine.interruption import Interruption, is_interrupted
from harness.processes.options import VerifyOptions
from harness.processes.process import Resources
from harness.processes.proof import Cases, Observations, Proof, judge, observe_in_worker
from harness.processes.saying import say
from harness.processes.selection import (
    Target,
    check_device,
    check_gpus,
    select_backends,
    select_implementations,
    select_targets,
)
from harness.proof.cases import choose_cases, choose_group_cases
from harness.proof.table import LEGEND, make_rows, make_table
from harness.task.presets import ConfigurationError
from harness.task.recipe import RunConfig

TIMEOUT_S = 600.0

# By how long they compile, so that no processor is left with a long one at the end.
LONGEST_FIRST = (("tensorflow", "tuned"), ("jax", "tuned"), ("jax", "idiomatic"), ("tensorflow", "idiomatic"))


def verify(options: VerifyOptions) -> int:
    """0 where every chosen implementation is proven, else 1; with "all", one that is not installed is no failure. After
    a signal what is proven is printed, and it is 128 and the signal's number.

    Raises ConfigurationError for options that cannot be used, before anything is started.
    """
    targets = select_targets(select_backends(options.backends), select_implementations(options.implementation))
    cases, resources = choose(options), Resources(device=options.device, timeout_s=TIMEOUT_S, ranks=options.ranks)
    check_gpus(resources)
    check_device(targets, RunConfig(), resources)
    console = make_console(stderr=options.as_json, quiet=options.quiet)
    started_s = time.monotonic()
    proofs = []
    with Interruption() as interruption, console.status("verifying"):
        for proof in prove_all(targets, cases, resources):
            proofs.append(proof)
            print_proof(proof, console, verbose=options.verbose)
    if options.quiet:
        unverified = [proof for proof in proofs if proof.failure()]
        sys.stderr.write("".join(f"{each.backend} {each.implementation}: {each.failure()}\n" for each in unverified))
    if options.as_json:
        print_json([to_json(proof) for proof in proofs])
    elif options.verbose:
        console.print(LEGEND, highlight=False)
    n_verified = sum(proof.verified for proof in proofs)
    say(console, f"{n_verified} of {len(proofs)} verified in {time.monotonic() - started_s:.0f} s")
    if interruption:
        say(console, f"{interruption.name}: {len(proofs)} of {len(targets)} were judged")
        return interruption.exit_code
    harmless = ("not_installed",) if options.backends == "all" else ()
    return 0 if n_verified and all(proof.verified or proof.status in harmless for proof in proofs) else 1


def choose(options: VerifyOptions) -> Cases:
    """The cases of the precision, or of several ranks. Raises ConfigurationError for ranks in another precision than
    float32."""
    ranks, precision = options.ranks, options.precision
    if ranks == 1:
        return choose_cases(precision)
    if precision not in ("all", "float32"):
        raise ConfigurationError(f"--ranks {ranks} --precision {precision}: several ranks are verified in float32")
    return choose_group_cases(ranks)


def prove_all(targets: list[Target], cases: Cases, resources: Resources) -> Iterator[Proof]:
    """A proof of each target, in their order, until a signal. Nothing here is timed, so workers share the machine, a
    physical core each; ranks, which wait for each other, have it for themselves."""
    n_at_once = find_processors().default if resources.ranks == 1 else 1
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for share in range(n_at_once):
        free.put(share)

    def observe(target: Target) -> Observations:
        share = free.get()
        try:
            return observe_in_worker(*target, cases, replace(resources, share=share))
        finally:
            free.put(share)

    with ThreadPoolExecutor(n_at_once) as pool:
        try:
            begun = {target_name(target): pool.submit(observe, target) for target in sorted(targets, key=turn)}
            for target in targets:
                proof = judge(*target, cases, begun[target_name(target)].result())
                if is_interrupted():
                    return
                yield proof
        finally:
            # What runs is ended by the signal, which all who wait for a worker look out for.
            pool.shutdown(cancel_futures=True)


def turn(target: Target) -> int:
    """Its place in the queue."""
    name = target_name(target)
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)


def target_name(target: Target) -> tuple[str, str]:
    backend, implementation = target
    return backend.name, implementation


def print_proof(proof: Proof, console: Console, *, verbose: bool) -> None:
    """A line; where `verbose`, the worst error of every quantity in a table above it."""
    name, failure = f"{proof.backend} {proof.implementation}", proof.failure()
    if verbose and proof.deviations:
        console.print(f"\n[bold]{name}[/]")
        console.print(make_table(proof.deviations))
    verdict = f"not verified: {failure}" if failure else "verified"
    unsupported = "".join(f"; unsupported: {reason}" for reason in proof.unsupported)
    say(console, f"{name}: {verdict}{unsupported}")


def to_json(proof: Proof) -> dict[str, Any]:
    return {
        "backend": proof.backend,
        "implementation": proof.implementation,
        "verified": proof.verified,
        "status": proof.status,
        "reason": proof.failure(),
        "unsupported": proof.unsupported,
        "worst": msgspec.to_builtins(make_rows(proof.deviations)),
    }
