"""A partition without a leader parks itself alone, says so, and continues by itself when the leader is back."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from tests.support import runtimes

from mrs_relay.kafka import leaders, partition_worker, records, settings

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_LONG_S = 600.0  # many times the patience with a consumer that receives nothing


@_BOTH
@pytest.mark.parametrize("topic", [runtimes.IN, runtimes.LEDGER])
async def test_partition_without_leader_waits_alone(guarantee: str, topic: str) -> None:
    """Ten minutes without a leader of one partition: the others work, the process stays ready, nothing is lost."""
    broker, handler = runtimes.working_cluster(guarantee), runtimes.Counting()
    with structlog.testing.capture_logs() as logs:
        async with runtimes.running(broker.kafka, broker, handler) as work:
            runtimes.feed_in(broker, 40)
            await asyncio.sleep(6)
            broker.lose_leader(topic, 1)
            runtimes.feed_in(broker, 40)
            await asyncio.sleep(_LONG_S)
            during, counted = work.status(), runtimes.counts(broker)
            broker.regain_leaders()
            await asyncio.sleep(40)
            after = work.status()

    assert [one.state.value for one in during.partitions] == ["running", "leaderless", "running", "running"]
    assert f"waits for a leader of {topic}-1" in (during.partitions[1].error or "")
    assert f"no leader for {topic}-1" in (during.error or "")
    assert (during.ready, counted) == (True, [20, 10, 20, 20])
    assert [one.state for one in after.partitions] == [partition_worker.State.RUNNING] * 4
    assert (after.error, runtimes.counts(broker)) == (None, [20] * 4)

    logged = [entry["event"] for entry in logs]
    assert (logged.count("leaders_lost"), logged.count("leaders_restored")) == (1, 1)


@_BOTH
@pytest.mark.parametrize("topic", [runtimes.IN, runtimes.LEDGER])
async def test_start_without_a_leader_begins_with_the_others(guarantee: str, topic: str) -> None:
    """What lacks its leader from the beginning keeps no other from starting, and begins when it is there."""
    broker, handler = runtimes.working_cluster(guarantee), runtimes.Counting()
    broker.lose_leader(topic, 1)
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 40)
        await asyncio.sleep(_LONG_S)
        during, counted = work.status(), runtimes.counts(broker)
        broker.regain_leaders()
        await asyncio.sleep(40)
    assert [one.state.value for one in during.partitions] == ["running", "leaderless", "running", "running"]
    assert (during.ready, counted) == (True, [10, 0, 10, 10])
    assert runtimes.counts(broker) == [10] * 4


@_BOTH
async def test_events_without_leader_hold_up_only_those_who_write_there(guarantee: str) -> None:
    """Where no event goes to that partition, work continues; who needs it waits, and tells each event once."""
    broker, handler = runtimes.working_cluster(guarantee), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        await asyncio.sleep(6)
        broker.lose_leader(runtimes.EV, 0)
        for key in (b"k0", b"k1", b"k2", b"k3", b"k4", b"k5"):
            place = broker.place(records.Outgoing(runtimes.EV, key, None))
            broker.put(runtimes.IN, min(place.partition, 1), key, b"v")
        await asyncio.sleep(_LONG_S)
        during, counted = work.status(), runtimes.counts(broker)
        broker.regain_leaders()
        await asyncio.sleep(40)
        after = work.status()

    waiting = sum(broker.place(records.Outgoing(runtimes.EV, b"k%d" % n, None)).partition == 0 for n in range(6))
    assert 0 < waiting < 6
    assert [one.state.value for one in during.partitions] == ["leaderless", "running", "running", "running"]
    assert "waits for a leader of ev-0" in (during.partitions[0].error or "")

    first = waiting if guarantee == "at-least-once" else 0  # there the ledger is written before the events
    assert (during.ready, counted) == (True, [first, 6 - waiting, 0, 0])
    assert after.ready
    assert (runtimes.counts(broker), len(set(runtimes.events(broker)))) == ([waiting, 6 - waiting, 0, 0], 6)


def test_only_what_a_partition_needs_holds_it_up() -> None:
    """Its own partition, its ledger's, and after a failure what it writes to; the latest states as well."""
    known = leaders.Leaders(settings.Topics(requests="in", events="ev", dead_letters="dl", latest="now"))
    mine, other = records.Position("in", 1), records.Position("in", 0)
    assert known.update({records.Position("in.ledger", 1), records.Position("theirs", 0)})
    assert not known.update({records.Position("in.ledger", 1)})
    assert "in.ledger-1" in (known.awaited(mine, failed=False) or "")
    assert known.awaited(other, failed=True) is None
    for output in ("ev", "dl", "now"):
        known.update({records.Position(output, 7)})
        assert known.awaited(mine, failed=False) is None
        assert f"{output}-7" in (known.awaited(mine, failed=True) or "")
    known.update({records.Position("ev", number) for number in range(9)})
    assert "ev-4 and 4 more" in (known.awaited(mine, failed=True) or "")
    assert known.update(set())
    assert known.all_there
