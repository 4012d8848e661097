"""A request that is read while partitions change hands must not be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.support import history, service, service_harness

from mrs_relay.kafka import records

pytestmark = pytest.mark.looptime


async def test_a_request_read_by_a_poll_that_a_rebalance_has_crossed_is_read_again() -> None:
    """It began before the member lost its place and ends after it: the consumer has moved past what is dropped."""
    async with service_harness.start() as here:
        await here.replicas[0].kafka.ready()
        member = here.broker.group.members[0]
        plain = member.poll
        crossed = False

        async def crossing(
            wanted: frozenset[records.Position], **more: Any
        ) -> Mapping[records.Position, Sequence[records.Record]]:
            nonlocal crossed
            if wanted and not crossed:
                crossed = True
                here.broker.evict()
                await asyncio.sleep(20)  # long enough for the end of the session, the rebalance and the resumption
                here.put(service.job("r-1"))
            return await plain(wanted, **more)

        member.poll = crossing  # type: ignore[method-assign]
        await here.until_ended(["r-1"], 300)
        assert crossed
        assert history.faults(["r-1"], here.events(), here.created()) == []
