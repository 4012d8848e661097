"""
The whole service under a seeded scheduler: replicas die, freeze and come back, Kafka and MRS are in trouble.

`python -m tests.support.simulation 4711` plays one seed (add `--verbose` for everything that happened), `… 1 10000` ten
thousand of them on all processors. All is drawn from the seed, so a seed that fails fails again. The parts:

    simulation_play      one world from beginning to end
    simulation_verdict   the judgement
    simulation_draws     what the seed decides before anything happens
    simulation_extras    what only a part of the seeds has
    simulation_stage     a tenant: what is sent to it and reported of it
    simulation_fleet     the replicas
    simulation_troubles  what goes wrong
    simulation_objects   OBS, and what it has of rows
    simulation_logs      the logs of failed jobs
    simulation_machine   what a replica sees of the world
    simulation_loop      virtual time, and the order of things
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import MutableMapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import structlog
from tests.support import simulation_loop, simulation_play


def command(seed: int) -> str:
    """Return how to see a seed again."""
    return f"PYTHONPATH=. python -m tests.support.simulation {seed} --verbose"


def _main(words: list[str]) -> int:
    """Play a seed with `FIRST`, or that many from there on with `FIRST COUNT`."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of what follows from the seed
        again = [sys.executable, "-m", "tests.support.simulation", *words]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    numbers = [int(word) for word in words if not word.startswith("-")]
    if len(numbers) > 1 and numbers[1] > 1:
        return _play_many(range(numbers[0], numbers[0] + numbers[1]))
    return _play_one(numbers[0], verbose="--verbose" in words)


def _play_one(seed: int, *, verbose: bool) -> int:
    if verbose:
        structlog.configure(processors=[_stamp, structlog.dev.ConsoleRenderer(colors=False)])
    else:
        _quiet()
    one = simulation_play.Simulation(seed, verbose=verbose)
    outcome = one.run()
    for line in one.trace.lines or ():
        print(line[:300])
    print(_reported(outcome))
    return 1 if outcome.faults else 0


def _play_many(seeds: range) -> int:
    began_s = time.monotonic()
    failed = events = jobs = 0
    lively_s = 0.0
    troubles: Counter[str] = Counter()

    with ProcessPoolExecutor(initializer=_quiet) as pool:
        for outcome in pool.map(simulation_play.run, seeds, chunksize=5):
            jobs += outcome.jobs
            events += outcome.events
            troubles += outcome.troubles
            lively_s = max(lively_s, outcome.lively_s)
            if outcome.faults:
                failed += 1
                print(_reported(outcome), flush=True)

    took_s = time.monotonic() - began_s
    speed = f"{len(seeds) / took_s:.1f} a second"
    print(f"{len(seeds)} seeds in {took_s:.1f} s ({speed}): {failed} failed; {jobs} jobs, {events} events")
    print(f"slowest end of what waits for no dead cluster: {lively_s:.0f} virtual s after the last trouble")
    print("troubles: " + ", ".join(f"{name} {times}" for name, times in sorted(troubles.items())))

    return 1 if failed else 0


def _quiet() -> None:
    structlog.configure(processors=[_drop])


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent


def _stamp(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    with contextlib.suppress(RuntimeError):
        machine = simulation_loop.OWNER.get()
        at_s = asyncio.get_running_loop().time()
        fields["event"] = f"{at_s:.3f} {machine.name if machine else '-'} {fields['event']}"
    return fields


def _reported(outcome: simulation_play.Outcome) -> str:
    kind = "exactly-once" if simulation_play.Simulation(outcome.seed).exactly_once else "at-least-once"
    lines = [f"seed {outcome.seed} ({kind}): {'; '.join(outcome.faults) or 'kept'} (trace {outcome.digest})"]
    if outcome.faults:
        lines.append(f"  again: {command(outcome.seed)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
