"""What waits for unread messages before it is forgotten, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from tests.unit.engine import scheduling_fakes

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.engine import expiry
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import jobs
from mrs_relay.kafka import broker, progress, records

_KEYS = [jobs.LedgerKey(b"k-%d" % number) for number in range(5)]
_HERE = records.Position("mrs.requests", 0)
_THERE = records.Position("mrs.requests", 1)


class _Topic:
    """A topic of two partitions whose ends and group offsets are set by hand; counts what it is asked."""

    def __init__(self) -> None:
        self.ends = {_HERE: 10, _THERE: 10}
        self.read: dict[records.Position, int] = {}
        self.is_away = False
        self.asked = 0

    async def bounds(self, position: records.Position) -> broker.Bounds:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.is_away:
            raise errors.StreamDown("no Kafka")
        return broker.Bounds(0, self.ends[position])

    async def notes(self, positions: list[records.Position]) -> Mapping[records.Position, broker.Mirrored]:
        return {one: broker.Mirrored(self.read[one], True) for one in positions if one in self.read}


class _Partition:
    """One partition's expiry in virtual time."""

    def __init__(self, most: int = 100) -> None:
        self.topic, self.reported = _Topic(), list[jobs.LedgerKey]()
        lease: Any = SimpleNamespace(progress=progress.Progress(_HERE, cast("Any", self.topic)), done_to=0, partition=0)
        self.lease = lease
        context: Any = SimpleNamespace(
            settings=engine_settings.EngineSettings(max_waiting_cancels=most),
            quota=SimpleNamespace(share=SimpleNamespace(total=2)),
            time=clock.LoopClock(),
        )
        self.task_supervisor = tasks.TaskSupervisor(
            lambda name, error: self.reported.append(jobs.LedgerKey(f"{name} {error!r}".encode()))
        )
        self.expiry = expiry.Expiry(lease, context, self.task_supervisor, self.reported.append)


def test_what_expires_waits_until_its_partition_has_been_read() -> None:
    """Up to the end at that moment; what comes later delays nothing, and an absent Kafka tells nothing."""

    async def live() -> None:
        one = _Partition()
        one.expiry.start()
        one.topic.is_away = True
        one.expiry.due(_KEYS[0], expiry.Kind.JOB)
        one.expiry.due(_KEYS[1], expiry.Kind.CANCEL)
        one.lease.done_to = 9
        await asyncio.sleep(60)
        one.topic.is_away = False
        await asyncio.sleep(60)

        assert (one.reported, one.expiry.has_caught_up) == ([], False)

        one.topic.ends[_HERE] = 20
        one.lease.done_to = 10
        await asyncio.sleep(5)

        assert (sorted(one.reported), one.expiry.has_caught_up) == (_KEYS[:2], True)
        await one.task_supervisor.close()

    scheduling_fakes.run_virtually(live())


def test_a_cancel_that_was_passed_on_waits_for_all_partitions_and_then_for_their_word() -> None:
    """The other partition's owner writes that it has the request before it says how far it is."""

    async def live() -> None:
        one = _Partition()
        one.lease.done_to = 10
        one.expiry.due(_KEYS[0], expiry.Kind.PASSED_CANCEL)
        await asyncio.sleep(60)
        one.topic.read[_THERE] = 9
        await asyncio.sleep(60)

        assert one.reported == []

        one.topic.ends[_HERE] = 11  # the word
        one.topic.read[_THERE] = 10
        await asyncio.sleep(60)

        assert one.reported == []

        one.lease.done_to = 11
        await asyncio.sleep(5)
        assert one.reported == _KEYS[:1]
        await one.task_supervisor.close()

    scheduling_fakes.run_virtually(live())


def test_waiting_cancels_are_bounded_whatever_is_unread() -> None:
    """Beyond `max_waiting_cancels` the oldest is reported as before; requests that are remembered are not counted."""

    async def live() -> None:
        one = _Partition(most=2)
        for key in _KEYS:
            one.expiry.due(key, expiry.Kind.CANCEL)
            one.expiry.due(key, expiry.Kind.JOB)
        await asyncio.sleep(60)
        assert one.reported == _KEYS[:3]
        await one.task_supervisor.close()

    scheduling_fakes.run_virtually(live())


def test_what_expires_one_after_the_other_is_asked_for_together() -> None:
    """A job a tenth of a second for a minute: a question every other second, and each is reported in time."""

    async def live() -> None:
        one = _Partition()
        one.lease.done_to = 10
        for number in range(600):
            one.expiry.due(jobs.LedgerKey(b"%d" % number), expiry.Kind.JOB)
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        assert len(one.reported) == 600
        assert one.topic.asked <= 32
        await one.task_supervisor.close()

    scheduling_fakes.run_virtually(live())
