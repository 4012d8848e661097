"""A runtime that ends is begun anew, less and less often, for as long as that is wanted."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import streams

from mrs_relay import errors
from mrs_relay.kit import clock
from mrs_relay.stream import memory, runtime, supervisor

pytestmark = pytest.mark.looptime


class _Made:
    """Makes runtimes on one broker and notes when."""

    def __init__(self, broker: memory.MemoryBroker) -> None:
        self._broker = broker
        self.at_s: list[float] = []

    def __call__(self) -> runtime.Runtime[str]:
        self.at_s.append(asyncio.get_running_loop().time())
        return runtime.Runtime(self._broker.kafka, self._broker, streams.Counting(), clock.LoopClock())


async def test_by_default_the_first_error_is_the_end() -> None:
    """A topic that is served alone takes its process with it."""
    broker = streams.working_cluster(partitions=1)
    broker.drop_topic(streams.LEDGER)
    work = supervisor.Supervisor(_Made(broker), streams.IN)
    with pytest.raises(errors.SettingsError, match=streams.LEDGER):
        await work.run()
    assert isinstance(work.fault, errors.SettingsError)


async def test_tries_grow_rarer_up_to_a_minute_and_end_with_a_stop() -> None:
    """An hour without its topics costs some seventy looks; then it works at once after a wait of a minute at most."""
    broker = streams.working_cluster(partitions=1)
    broker.drop_topic(streams.LEDGER)
    made = _Made(broker)
    work = supervisor.Supervisor(made, streams.IN)
    task = asyncio.create_task(work.run(lambda: True))
    await asyncio.sleep(3600)
    pauses_s = [later - earlier for earlier, later in zip(made.at_s[1:], made.at_s[2:], strict=False)]
    assert 60 <= len(made.at_s) <= 130
    assert (pauses_s[0] < 2.1, max(pauses_s) < 61, min(pauses_s[-20:]) > 29) == (True, True, True)
    broker.create_topic(streams.LEDGER, 1, {"cleanup.policy": "compact"})
    await asyncio.sleep(70)
    assert (work.status().ready, work.fault) == (True, None)
    work.stop()
    await task
