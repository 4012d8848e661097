"""How many bytes a commit may write: what Kafka takes in time, found out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import budget, partition_worker, records
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases

pytestmark = pytest.mark.looptime

_MOST = 1 << 20


class _Kafka:
    """Takes so many bytes a second, and gives a commit up after twelve seconds."""

    def __init__(self, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s

    async def commit(
        self, changes: Sequence[records.Change], _outgoing: Sequence[records.Outgoing], _next_offset: int
    ) -> None:
        took_s = sum(len(change.value or b"") for change in changes) / self.bytes_per_s
        await asyncio.sleep(min(took_s, 12.0))
        if took_s > 12.0:
            raise errors.StreamDown("no reply in time")

    async def settle(self) -> None:
        pass

    def limit_bytes(self, _topic: str | None) -> int:
        return 1 << 30


async def _write(kafka: _Kafka, held: budget.CommitBudget, *, small: bool = False) -> bool:
    """Commit as much as the budget lets; whether it was taken."""
    inbox: inboxes.Inbox[str] = inboxes.Inbox(capacity=10, next_offset=0)
    start = leases.Start({}, 0, 0.0, held)
    place = records.Position("in", 0)
    lease: leases.Lease[str] = leases.Lease(place, start, inbox, kafka, clock=clock.LoopClock(), stale_after_s=45)
    value = b"v" * (100 if small else max(0, lease.budget_bytes - 200))
    try:
        await lease.commit([records.Change(b"k", value)], [])
    except errors.StreamDown:
        return False
    return True


async def test_budget_is_halved_after_a_failed_commit_and_grows_back() -> None:
    """A Kafka that recovers gets large commits again."""
    held = budget.CommitBudget(_MOST, 3.0)
    kafka = _Kafka(50_000)
    assert not await _write(kafka, held)
    assert _MOST // 2 - 200 <= held.bytes <= _MOST // 2
    kafka.bytes_per_s = 1e9
    for _ in range(20):
        assert await _write(kafka, held)
    assert held.bytes == _MOST


@pytest.mark.parametrize("bytes_per_s", [1_000_000, 100_000, 20_000, 5_000])
async def test_after_a_few_tries_commits_get_through_a_slow_kafka_and_none_fails(bytes_per_s: int) -> None:
    """The budget settles where a commit takes a few seconds, not where one just fails now and then."""
    held = budget.CommitBudget(_MOST, 3.0)
    kafka = _Kafka(bytes_per_s)
    tries: list[bool] = []
    took_s: list[float] = []
    for _ in range(60):
        begun_s = asyncio.get_running_loop().time()
        tries.append(await _write(kafka, held))
        took_s.append(asyncio.get_running_loop().time() - begun_s)
    assert all(tries[6:])
    assert max(took_s[8:]) <= 6.0


async def test_small_commit_that_fails_is_no_sign_of_a_slow_kafka() -> None:
    """While Kafka is away the budget stays what it was."""
    held = budget.CommitBudget(_MOST, 3.0)
    assert not await _write(_Kafka(1), held, small=True)
    assert held.bytes == _MOST


async def test_budget_never_falls_below_its_floor() -> None:
    """However slow Kafka is, a commit may hold a few records."""
    held = budget.CommitBudget(_MOST, 3.0)
    for _ in range(30):
        await _write(_Kafka(1), held)
    assert held.bytes == budget.LEAST_BYTES


async def test_budget_outlives_the_restore_that_follows_a_failed_commit() -> None:
    """Else every restart would begin with a commit that is too large."""
    broker, handler = runtimes.working_cluster(partitions=1, commit_bytes=_MOST), runtimes.Counting()
    seen: list[int] = []

    def note(lease: leases.Lease[str]) -> None:
        seen.append(lease.budget_bytes)
        if len(seen) == 1:
            lease._budget.failed(_MOST)
            raise errors.Fenced("the commit failed")

    handler.before_commit = note
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 1, 1)
        await asyncio.sleep(60)
        assert work.status().partitions[0].state is partition_worker.State.RUNNING
    assert seen == [_MOST, _MOST // 2]
