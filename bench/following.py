"""
Following: how soon a takeover serves jobs under way, when far more requests are remembered.

The jobs began first, and all other requests have ended since, so that their records stand at the end of the ledger. A
takeover has two times: until every job is followed and its cancel would act, against a bare aiokafka read of the
jobs' records alone, and until messages can be taken, against a bare read of the whole ledger. The second runs beside
the work on the jobs, which has nothing to do here.

    PYTHONPATH=. python bench/following.py [--under-way 10000] [--ended 1000000] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Final

import msgspec
import uvloop
from bench import memory, recovery, stage
from tests.support import brokers

from mrs_relay import app
from mrs_relay.common import clock, logs
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import cold_records, records

_BATCH: Final = 500
_AGAIN: Final = _BATCH // 2  # as engine.rewriting
_WEEK_MS: Final = 7 * 86_400_000
_NONE_COLD: Final = cold_records.ColdRule(lambda values: [None] * len(values), 1000)


@functools.cache
def _ended() -> jobs.Job:
    """Return a job that has ended, some time ago."""
    job = job_records.decode(memory.ledger_record(0)[1])
    expires_ms = clock.SystemClock().now_ms() + _WEEK_MS
    return msgspec.structs.replace(job, state=jobs.State.SUCCEEDED, intent_ms=1, expires_ms=expires_ms)


async def remember(place: recovery.Place, ended: int) -> None:
    """Add requests that have ended; jobs under way are written again as the service does."""
    ledger = place.owner(_NONE_COLD)
    held = (await ledger.open()).state
    tail = ledger.tail
    assert tail is not None
    for first in range(place.jobs, place.jobs + ended, _BATCH):
        changes = []
        for number in range(first, first + _BATCH):
            key = b"/billing/nightly order-2026-11-24-%08d" % number
            changes.append(records.Change(key, job_records.encode(msgspec.structs.replace(_ended(), order=number))))
        tail.plan(held, (), float(first))  # every mark is old enough
        again = (tail.next_behind() for _ in range(_AGAIN))
        changes += [records.Change(key, held[key]) for key in again if key is not None]
        await ledger.commit(changes, [], first + _BATCH)
    await ledger.kill()


async def take_over(place: recovery.Place, ended: int) -> tuple[float, float]:
    """Return the seconds from nothing to jobs that are followed, and to messages that can be taken."""
    async with recovery.taken(place) as found:
        indexed_s = time.perf_counter()
        await found.ledger.index_older()
        whole_s = found.followed_s + time.perf_counter() - indexed_s
        assert len(found.lease.cold or ()) == ended
    return found.followed_s, whole_s


async def rounds_of(jobs_alone: recovery.Place, place: recovery.Place, ended: int, rounds: int) -> list[list[float]]:
    """Round by round: followed, read of the jobs alone, whole, read of the whole; one round before does not count."""
    await recovery.fill(jobs_alone)
    await recovery.fill(place)
    await remember(place, ended)
    found = []
    for number in range(rounds + 1):
        gc.collect()
        followed_s, whole_s = await take_over(place, ended)
        times = [followed_s, await recovery.bare_read(jobs_alone), whole_s, await recovery.bare_read(place)]
        if number:
            found.append(times)
        print(f"  round {number}: {' '.join(f'{one:.2f}' for one in times)} s", file=sys.stderr, flush=True)
    return found


def measure(under_way: int, ended: int, rounds: int) -> dict[str, object]:
    """Measure medians, and the medians of the comparisons of each round."""
    with tempfile.TemporaryDirectory() as folder, brokers.start_kafka(pathlib.Path(folder)) as kafka:
        alone = recovery.Place(kafka.bootstrap, "alone", under_way, compacted=True)
        whole = recovery.Place(kafka.bootstrap, "whole", under_way, compacted=True)
        found = uvloop.run(rounds_of(alone, whole, ended, rounds))
    return {
        "under_way": under_way,
        "ended": ended,
        "followed_s": round(statistics.median(one[0] for one in found), 2),
        "alone_s": round(statistics.median(one[1] for one in found), 2),
        "followed_beyond_s": round(statistics.median(one[0] - 1.5 * one[1] for one in found), 2),
        "whole_s": round(statistics.median(one[2] for one in found), 2),
        "whole_ratio": round(statistics.median(one[2] / one[3] for one in found), 2),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--under-way", type=int, default=10_000)
    parser.add_argument("--ended", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    stage.quiet()
    logs.setup(level="ERROR")
    gc.freeze()
    gc.set_threshold(app._GC_ALLOCATIONS, 20, 20)  # noqa: SLF001 - as the service does at its start
    figures = measure(given.under_way, given.ended, given.rounds)
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
