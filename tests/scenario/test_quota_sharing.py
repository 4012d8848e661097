"""Replicas of the whole service share MRS's write quota by what waits, with the emulator's limits on."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.support import service, service_harness

pytestmark = pytest.mark.looptime

PER_MINUTE = 60
PARTITIONS = 8

_WINDOWS_S = 4 * 61.0
"""Whole windows of the budgets: a burst of the first minute comes back in each."""


def _sent(here: service_harness.ServiceHarness, status: int | None = None) -> list[float]:
    """Return when submissions were answered, all of them or those with a status."""
    return sorted(
        one.at_s
        for replica in here.replicas
        for one in replica.wire.answered
        if one.verb == "POST" and one.target.endswith("/job-executions") and status in {None, one.status}
    )


def _used(here: service_harness.ServiceHarness, since_s: float, until_s: float) -> float:
    return sum(since_s <= at_s < until_s for at_s in _sent(here, 202)) / ((until_s - since_s) / 60 * PER_MINUTE)


def _refused(here: service_harness.ServiceHarness) -> int:
    return sum(one.status == 429 for replica in here.replicas for one in replica.wire.answered)


def _deployment(replicas: int) -> contextlib.AbstractAsyncContextManager[service_harness.ServiceHarness]:
    chosen = service_harness.settings(engine={"slots_per_cluster": 0, "poll_interval_s": 30})
    emulated = {"limits": {"window": "sliding"}, "clusters": [{"slots": 0}], "pace": {"run_s": 1}}
    return service_harness.start(chosen, partitions=PARTITIONS, replicas=replicas, emulated=emulated)


def _put(here: service_harness.ServiceHarness, count: int, partitions: list[int], name: str = "r") -> None:
    for number in range(count):
        here.put(service.job(f"{name}-{number}"), partition=partitions[number % len(partitions)])


@pytest.mark.parametrize("replicas", [1, 2, 4, 8])
@pytest.mark.parametrize("partitions", [[7], [0, 0, 0, 0, 0, 0, 1, 2, 5], list(range(PARTITIONS))])
async def test_the_write_quota_is_used_however_keys_are_distributed(replicas: int, partitions: list[int]) -> None:
    """One busy cluster on one partition gets all of it, through whichever replica owns it; MRS refuses nothing."""
    async with _deployment(replicas) as here:
        await asyncio.sleep(20)
        _put(here, 7 * PER_MINUTE, partitions)
        await asyncio.sleep(80)
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(_WINDOWS_S)
        assert _used(here, now_s, now_s + _WINDOWS_S) >= 0.95
        assert _refused(here) == 0


async def test_a_lone_request_is_sent_at_once_by_whichever_replica_gets_it() -> None:
    """A part of an idle quota stands ready at every replica."""
    async with _deployment(4) as here:
        await asyncio.sleep(90)
        for partition in range(PARTITIONS):
            put_s = asyncio.get_running_loop().time()
            _put(here, 1, [partition], f"lone-{partition}")
            await asyncio.sleep(10)
            assert _sent(here)[-1] - put_s < 0.5


async def test_a_replica_that_is_killed_and_one_that_comes_cost_little_and_no_429() -> None:
    """What the dead coordinator may have called unheard stays set aside for its minute; everything else continues."""
    async with _deployment(3) as here:
        await asyncio.sleep(70)
        _put(here, 15 * PER_MINUTE, list(range(PARTITIONS)))
        await asyncio.sleep(80)
        begin_s = asyncio.get_running_loop().time()
        await here.replicas[0].kill()
        await asyncio.sleep(100)
        await here.start_replica()
        await asyncio.sleep(500)
        assert _used(here, begin_s, begin_s + 600) >= 0.94
        assert _used(here, begin_s + 600 - _WINDOWS_S, begin_s + 600) >= 0.95
        assert _refused(here) == 0


async def test_the_quota_is_used_where_the_names_of_many_tenants_topics_do_not_fit_into_a_note() -> None:
    """Kafka keeps 4096 bytes beside an offset: the topics have short names there, and the busy replica gets it all."""
    topics = {f"t{number}": {"requests": f"{'long.' * 46}{number}.requests"} for number in range(18)}
    chosen = service_harness.settings(tenants=topics, engine={"slots_per_cluster": 0, "poll_interval_s": 60})
    emulated = {"limits": {"window": "sliding"}, "clusters": [{"slots": 0}], "pace": {"run_s": 1}}
    async with service_harness.start(chosen, partitions=2, replicas=2, emulated=emulated) as here:
        await asyncio.sleep(20)
        for number in range(6 * PER_MINUTE):
            here.put(service.job(f"r-{number}"), topic=topics["t7"]["requests"], partition=1)
        await asyncio.sleep(130)
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(_WINDOWS_S / 2)
        assert _used(here, now_s, now_s + _WINDOWS_S / 2) >= 0.95
        assert _refused(here) == 0
