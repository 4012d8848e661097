"""What expires while messages lie on the topic unread: a waiting cancel, a remembered request, a rejection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support import history, service, service_harness

pytestmark = pytest.mark.looptime

_OUTAGE_S = 1200.0


async def _outage(here: service_harness.ServiceHarness, *messages: tuple[int, bytes]) -> None:
    """Let messages come while no replica runs, and lie there for twenty minutes."""
    await here.replicas[-1].kill()
    await asyncio.sleep(100)
    for partition, message in messages:
        here.put(message, partition=partition)
    await asyncio.sleep(_OUTAGE_S)
    await here.start_replica()


def _settings(**engine: Any) -> Any:
    return service_harness.settings(engine=engine)


async def test_a_cancel_does_not_expire_before_its_request_that_lies_on_the_topic() -> None:
    """Cancel, outage, request, twenty minutes: the request is cancelled, and no event says that it never came."""
    async with service_harness.start(_settings(cancel_wait_s=300)) as here:
        here.put(service.cancel("c-1", "r-1"))
        await asyncio.sleep(10)
        await _outage(here, *[(0, b"no message")] * 2000, (0, service.job("r-1")))
        await here.until_ended(["r-1"], 120)
        await asyncio.sleep(600)
        assert here.states("r-1") == ["accepted", "cancelled"]
        assert here.states("c-1") == []
        assert here.created() == []


async def test_a_cancel_does_not_expire_before_its_request_that_lies_on_another_partition() -> None:
    """The cancel's own partition has been read at once; the request lies behind a backlog of the other one."""
    async with service_harness.start(_settings(cancel_wait_s=300), partitions=2) as here:
        here.put(service.cancel("c-1", "r-1"), partition=1)
        await asyncio.sleep(10)
        await _outage(here, *[(0, b"no message")] * 2000, (0, service.job("r-1")))
        await here.until_ended(["r-1"], 120)
        await asyncio.sleep(600)
        assert here.states("r-1") == ["accepted", "cancelled"]
        assert here.states("c-1") == []
        assert here.created() == []


async def test_a_cancel_whose_request_never_came_is_reported_after_an_outage() -> None:
    """All partitions have been read, and it is nowhere."""
    async with service_harness.start(_settings(cancel_wait_s=300), partitions=3) as here:
        here.put(service.cancel("c-1", "r-1"), partition=1)
        await asyncio.sleep(10)
        await _outage(here, (0, service.job("r-2")), (2, b"no message"))
        await here.until_ended(["r-2"], 120)
        await asyncio.sleep(30)
        assert here.states("c-1") == ["rejected"]


async def test_a_repetition_that_lies_on_the_topic_is_no_second_job() -> None:
    """It was sent while its request was remembered, so it is answered, however late it is read."""
    async with service_harness.start(_settings(remember_s=600)) as here:
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 300)
        await _outage(here, *[(0, b"no message")] * 2000, (0, service.job("r-1")))
        await asyncio.sleep(300)
        assert here.states("r-1")[-2:] == ["succeeded", "succeeded"]
        assert len(here.created()) == 1
        here.put(service.job("r-1"))  # it has been forgotten by now
        await asyncio.sleep(300)
        assert len(here.created()) == 2


async def test_a_correction_that_lies_on_the_topic_continues_the_numbers() -> None:
    """A rejected request was sent again in time: its events continue counting."""
    async with service_harness.start(_settings(remember_rejected_s=600, batch_records=1)) as here:
        here.put(service.job("r-1", priority=99))
        await asyncio.sleep(10)
        assert here.states("r-1") == ["rejected"]
        await _outage(here, *[(0, b"no message")] * 2000, (0, service.job("r-1")))
        await asyncio.sleep(300)
        assert [event.sequence for event in here.events() if event.request_id == "r-1"][:2] == [1, 2]
        assert history.faults(["r-1"], here.events(), here.created()) == []
