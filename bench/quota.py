"""
The write quota under a backlog: which part of it is used, and how often MRS throttles its only caller.

In virtual time, at the emulator with the documented limits on, counted both ways in which a gateway may count: minutes
that begin with a call, and any 60 seconds. Several replicas share the quota by what waits, which is the harder the less
evenly it is spread: with the recommended key, the cluster, all of it may wait on one partition.

    PYTHONPATH=. python bench/quota.py [--minutes 10] [--json]
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from bench import virtual
from tests.support import service_harness

PER_MINUTE: Final = 60
"""Writes a minute and operation. Source: API reference mrs_02_0006."""

PARTITIONS: Final = 8
CASES: Final = (
    (1, "fixed", "even"),
    (1, "sliding", "even"),
    (4, "fixed", "even"),
    (4, "sliding", "even"),
    *((replicas, "sliding", "hot") for replicas in (1, 2, 4, 8)),
    (4, "sliding", "skewed"),
)
"""Replicas, how MRS counts, and how keys are spread: evenly, all on one partition, or most of them on one."""

_SETTLE_S: Final = 60.0


def _partition(number: int, keys: str) -> int:
    """Return where a request goes; the one hot partition is the last, not the coordinator's."""
    if keys == "hot" or (keys == "skewed" and number % 10):
        return PARTITIONS - 1
    return number % PARTITIONS


async def backlog(replicas: int, window: str, keys: str, minutes: int) -> dict[str, object]:
    """Count what gets through in so many minutes while more waits than can go."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 0})
    emulated = {"limits": {"window": window}, "clusters": [{"slots": 0}]}
    async with service_harness.start(chosen, partitions=PARTITIONS, replicas=replicas, emulated=emulated) as here:
        await asyncio.sleep(_SETTLE_S)  # the replicas find their share
        for number in range((minutes + 3) * PER_MINUTE):
            here.put(virtual.request(number, 3.0), partition=_partition(number, keys))
        await asyncio.sleep(_SETTLE_S)  # the first minute may begin with a burst and is left out
        begin_s = asyncio.get_running_loop().time()
        await asyncio.sleep(minutes * 60)
        end_s = asyncio.get_running_loop().time()
        answered = [one for replica in here.replicas for one in replica.wire.answered]
        sent = [one for one in answered if one.verb == "POST" and one.target.endswith("/job-executions")]
        taken = sum(one.status != 429 and begin_s <= one.at_s < end_s for one in sent)
        waiting = sum(sum(replica.context.scheduler.waiting_by_cause().values()) for replica in here.replicas)
        assert waiting, "the backlog has run out: nothing held the submissions back but a lack of them"
        assert sum(replica.context.quota.share.owned for replica in here.replicas) == PARTITIONS

    return {
        "replicas": replicas,
        "window": window,
        "keys": keys,
        "minutes": minutes,
        "used": round(taken / (minutes * PER_MINUTE), 4),
        "throttled": sum(one.status == 429 for one in answered),
    }


def measure(minutes: int) -> dict[str, object]:
    """Measure all cases."""
    found = []
    for replicas, window, keys in CASES:
        one = virtual.run(backlog(replicas, window, keys, minutes))
        found.append(one)
        reported = f"  {replicas} replicas, {window}, {keys} keys: {one['used']:.1%}, {one['throttled']} 429s"
        print(reported, file=sys.stderr, flush=True)
    return {"minutes": minutes, "measured": found}


def main() -> None:
    """Read the command line, count, print."""
    virtual.main(measure, __doc__ or "", log_level="ERROR")


if __name__ == "__main__":
    main()
