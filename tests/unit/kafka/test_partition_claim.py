"""A partition that is claimed again."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from tests.support import runtimes

from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import live_tail, older_records

pytestmark = pytest.mark.looptime


async def test_lease_that_has_ended_leaves_memory_before_the_next_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its index may have a million entries: it is not held beside the one that is being read."""
    broker, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    opened, ended, held = ledgers.Ledger.open, list[weakref.ref[leases.Lease[str]]](), list[bool]()

    async def looking(ledger: ledgers.Ledger, *rest: Any) -> ledgers.Restored:
        gc.collect()
        held.extend(ref() is not None for ref in ended)
        return await opened(ledger, *rest)

    def fail(lease: leases.Lease[str]) -> None:
        if not ended:
            ended.append(weakref.ref(lease))
            handler.leases.clear()
            raise ZeroDivisionError

    monkeypatch.setattr(ledgers.Ledger, "open", looking)
    handler.before_commit = fail
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 4, partitions=1)
        await asyncio.sleep(20)
    assert held == [False]
    assert runtimes.counts(broker) == [4]


async def test_whole_ledger_is_read_only_until_its_owner_has_noted_a_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """One mistake does not make every later restore of this process as long."""
    broker, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    opened, wholes = ledgers.Ledger.open, list[bool]()

    async def looking(ledger: ledgers.Ledger, *rest: Any) -> ledgers.Restored:
        wholes.append(ledger.reads_whole)
        return await opened(ledger, *rest)

    def fail(lease: leases.Lease[str]) -> None:
        if len(wholes) == 1:
            lease.die(older_records.OlderDiffers("a value is missing"))
        if len(wholes) == 3:
            lease.tail = live_tail.LiveTail(lambda: 9)
            lease.tail.noted = 5
        if len(wholes) < 4:
            handler.leases.clear()
            raise ZeroDivisionError

    monkeypatch.setattr(ledgers.Ledger, "open", looking)
    handler.before_commit = fail
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 4, partitions=1)
        await asyncio.sleep(60)
    assert wholes == [False, True, True, False]
    assert runtimes.counts(broker) == [4]
