"""A member whose consumer gets no answers any more, although its producers do, must not fight with its successor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, runtime
from mrs_relay.kafka.memory import memory_broker, memory_group

pytestmark = pytest.mark.looptime


class _DeafConsumer(memory_group.MemoryGroupConsumer):
    """Gets partitions, and then receives nothing more."""

    async def committed(self, position: records.Position) -> int | None:
        raise await self._silence(position)

    async def bounds(self, position: records.Position) -> brokers.Bounds:
        raise await self._silence(position)

    async def commit(
        self,
        offsets: Mapping[records.Position, int],
        *,
        mirror: bool = True,
        notes: Mapping[records.Position, str] = brokers.NO_NOTES,
    ) -> None:
        del mirror, notes
        raise await self._silence(offsets)

    async def _silence(self, _question: object) -> errors.StreamDown:
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(10)
        self.silent_since_s = began_s if self.silent_since_s is None else self.silent_since_s
        return errors.StreamDown("no answer")


class _DeafBroker(memory_broker.MemoryBroker):
    """The same broker, seen by a process whose consumer is deaf."""

    def __init__(self, hub: memory_broker.MemoryBroker) -> None:
        self.__dict__.update(hub.__dict__)

    def consumer(self) -> brokers.GroupConsumer:
        return _DeafConsumer(self.group)


async def _its_end(work: runtime.Runtime[str]) -> str:
    """Return what a process dies of."""
    with pytest.raises(errors.StreamDown) as died:
        await work.run()
    return str(died.value)


async def test_member_that_the_group_does_not_answer_fences_no_other() -> None:
    """It may have been put out long ago: its successor works on undisturbed, and it gives up, for a new process."""
    broker = runtimes.working_cluster()
    heard, deaf = runtimes.Counting(), runtimes.Counting()
    work = runtime.Runtime(broker.kafka, _DeafBroker(broker), deaf, clock.LoopClock())

    async with asyncio.TaskGroup() as group:
        task = group.create_task(_its_end(work))
        await asyncio.sleep(30)  # it was given everything, has claimed it once and gets no further
        broker.group.remove(broker.group.members[0], notices=False)
        async with runtimes.running(broker.kafka, broker, heard):
            for _ in range(10):
                runtimes.feed_in(broker, 4)
                await asyncio.sleep(60)

    assert "no answer" in await task
    assert {partition: len(leases) for partition, leases in heard.leases.items()} == dict.fromkeys(range(4), 1)
    assert runtimes.counts(broker) == [10] * 4
    assert deaf.leases == {}
