"""
Reads per look at a cluster: how many calls the tracker makes to learn of n jobs, counted at the emulator.

In virtual time, with limits off. A look is all reads of jobs that follow each other closely: two looks are seconds
apart. The target is one read for each page of jobs that are followed, and one more. Where jobs of more than a page
end one by one, the list fills with ended ones that must be read past; that case is reported, not judged.

    PYTHONPATH=. python bench/reads.py [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Sequence
from typing import Final

from bench import virtual
from tests.support import service_harness

from mrs_relay.common import logs
from mrs_relay.engine import settings as engine_settings

PAGE: Final = engine_settings.EngineSettings().list_page
STEADY: Final = (1, 2, 3, 4, 50, 100, 101, 250, 1000, 2000)
CHANGING: Final = (50, 1000)
_APART_S: Final = 2.0
_LONG_S: Final = 100_000.0
_SUBMITTED_S: Final = 30.0


def allowed(jobs: int) -> int:
    """Return the target for one look at so many jobs."""
    return -(-jobs // PAGE) + 1


def looks(answered: Sequence[service_harness.Answered]) -> list[int]:
    """Return reads of each look, in order."""
    counts: list[int] = []
    last_s = float("-inf")
    for one in answered:
        if one.verb == "GET" and "/job-executions" in one.target:
            if one.at_s - last_s > _APART_S:
                counts.append(0)
            counts[-1] += 1
            last_s = one.at_s
    return counts


async def reads_of_looks(durations_s: Sequence[float], watch_s: float) -> list[int]:
    """
    Follow a job of each duration; the reads that each look took.

    Args:
        durations_s: seconds for which each job runs.
        watch_s: seconds after the submissions for which looks are counted.
    """
    chosen = service_harness.settings(mrs={"budgets": False}, engine={"slots_per_cluster": 0})
    async with service_harness.start(chosen, emulated={"limits": {"on": False}, "clusters": [{"slots": 0}]}) as here:
        for number, duration_s in enumerate(durations_s):
            here.put(virtual.request(number, duration_s))
        await asyncio.sleep(_SUBMITTED_S)
        assert len(here.created()) == len(durations_s)
        door = here.replicas[0].wire
        door.answered.clear()
        await asyncio.sleep(watch_s)
        counts = looks(door.answered)
        assert counts
        return counts


def durations_s(jobs: int, when: str) -> list[float]:
    """Return how long each job runs: while we look, all run, all end at once, or ends come mixed, in any order."""
    if when == "all running":
        return [_LONG_S] * jobs
    if when == "all ending at once":
        return [60.0] * jobs
    chance = random.Random(jobs)  # noqa: S311 - durations, no secrets
    return [chance.uniform(40.0, 240.0) for _ in range(jobs)]


def measure() -> dict[str, object]:
    """Measure all cases."""
    cases = [(jobs, "all running") for jobs in STEADY]
    cases += [(jobs, when) for jobs in CHANGING for when in ("all ending at once", "ending one by one")]
    found = []
    for jobs, when in cases:
        watch_s = 40.0 if when == "all running" else 300.0
        most = max(virtual.run(reads_of_looks(durations_s(jobs, when), watch_s)))
        judged = when != "ending one by one" or jobs <= PAGE
        found.append({"jobs": jobs, "when": when, "most_reads": most, "allowed": allowed(jobs) if judged else None})
        print(f"  {jobs} jobs, {when}: {most} reads", file=sys.stderr, flush=True)
    return {"page": PAGE, "sweeps": found}


def main() -> None:
    """Count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    logs.setup(level="ERROR")
    figures = measure()
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
