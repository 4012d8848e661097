"""A runtime that ends is started again, less and less often, for as long as that is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, runtime, supervisor
from mrs_relay.kafka.memory import memory_broker, memory_group

pytestmark = pytest.mark.looptime


class _Made:
    """Makes runtimes on one broker and notes when."""

    def __init__(self, broker: memory_broker.MemoryBroker) -> None:
        self._broker = broker
        self.at_s: list[float] = []

    def __call__(self) -> runtime.Runtime[str]:
        self.at_s.append(asyncio.get_running_loop().time())
        return runtime.Runtime(self._broker.kafka, self._broker, runtimes.Counting(), clock.LoopClock())


async def test_by_default_the_first_error_is_the_end() -> None:
    """A topic that is served alone takes its process with it."""
    broker = runtimes.working_cluster(partitions=1)
    broker.drop_topic(runtimes.LEDGER)
    work = supervisor.Supervisor(_Made(broker), runtimes.IN)
    with pytest.raises(errors.SettingsError, match=runtimes.LEDGER):
        await work.run()
    assert isinstance(work.fault, errors.SettingsError)


class _Stuck(memory_group.MemoryGroupConsumer):
    """A consumer of which a background task has died."""

    async def poll(
        self, wanted: frozenset[records.Position], *, limit: int, timeout_s: float
    ) -> Mapping[records.Position, Sequence[records.Record]]:
        await super().poll(wanted, limit=limit, timeout_s=timeout_s)
        raise errors.ConsumerStuck("the consumer's fetching has ended")


class _OnceStuck(memory_broker.MemoryBroker):
    """A broker of which the first consumer gets stuck."""

    made = 0

    def consumer(self) -> brokers.GroupConsumer:
        self.made += 1
        return _Stuck(self.group) if self.made == 1 else super().consumer()


async def test_consumer_that_is_stuck_is_replaced_without_ending_the_process() -> None:
    """Another consumer does what another process would do, seconds later, and nothing is lost or repeated."""
    broker = _OnceStuck(runtimes.kafka_settings(), transactions=True)
    broker.create_topics(4)
    runtimes.feed_in(broker, 40)
    work = supervisor.Supervisor(_Made(broker), runtimes.IN)
    task = asyncio.create_task(work.run())
    await asyncio.sleep(30)
    runtimes.feed_in(broker, 40)
    await asyncio.sleep(10)
    assert (broker.made, work.status().ready, work.fault, task.done()) == (2, True, None, False)
    assert runtimes.counts(broker) == [20] * 4
    assert len(runtimes.events(broker)) == 80
    work.stop()
    await task


async def test_tries_grow_rarer_up_to_a_minute_and_end_with_a_stop() -> None:
    """An hour without its topics costs some seventy starts; once they are there it works within a minute."""
    broker = runtimes.working_cluster(partitions=1)
    broker.drop_topic(runtimes.LEDGER)
    made = _Made(broker)
    work = supervisor.Supervisor(made, runtimes.IN)
    task = asyncio.create_task(work.run(lambda: True))
    await asyncio.sleep(3600)
    pauses_s = [later - earlier for earlier, later in zip(made.at_s[1:], made.at_s[2:], strict=False)]
    assert 60 <= len(made.at_s) <= 130
    assert (pauses_s[0] < 5.3, max(pauses_s) < 64, min(pauses_s[-20:]) > 29) == (True, True, True)
    broker.create_topic(runtimes.LEDGER, 1, {"cleanup.policy": "compact"})
    await asyncio.sleep(70)
    assert (work.status().ready, work.fault) == (True, None)
    work.stop()
    await task
