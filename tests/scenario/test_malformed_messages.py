"""Malformed messages and the whole service: each has an end, the partition continues, and its neighbours are served."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import pytest
import structlog
from tests.support import damage, history, malformed, service, service_harness

from mrs_relay.kafka import records, status
from mrs_relay.messages import dead_letters

pytestmark = pytest.mark.looptime

_COUNT = 2_000
_EVERY = 20
"""One message in so many is a good one."""

_OPEN: Mapping[str, Any] = {}
_SQL_ONLY = {"tenants": {"a": {"requests": "mrs.requests", "allow": {"types": ["mrs.sql.submit"]}}}}


def _put(here: service_harness.ServiceHarness, message: malformed.Message) -> None:
    item = records.Outgoing("mrs.requests", message.key, message.value, cast("records.Headers", message.headers), 0)
    stamp_ms = here.time.now_ms() if message.timestamp_ms is None else message.timestamp_ms
    here.broker.log(records.Position("mrs.requests", 0)).append([item], stamp_ms)
    here.broker.announce()


def _offsets_of_letters(here: service_harness.ServiceHarness) -> Counter[int]:
    letters = here.broker.committed("mrs.dead-letters")
    return Counter(dead_letters.read(one.key, one.value, one.headers).offset for one in letters)


async def _until_read(here: service_harness.ServiceHarness, offset: int) -> status.Partition:
    """Wait until everything is read, and what can be done is done."""
    for _ in range(60):
        await asyncio.sleep(60)
        partition = here.replicas[0].kafka.status().partitions[0]
        if partition.next_offset == offset or partition.crashes or partition.failures:
            break
    await asyncio.sleep(600)
    return partition


@pytest.mark.parametrize("groups", [_OPEN, _SQL_ONLY], ids=["open", "sql-only"])
async def test_the_whole_service_continues_beside_malformed_messages(groups: Mapping[str, Any]) -> None:
    """
    Of 2,000 malformed messages none restarts the partition, each is read, and every good one among them is done.

    Neither an event nor a line of the log holds one of the secrets that stand in the messages.
    """
    good = [f"good-{number}" for number in range(_COUNT // _EVERY)]
    with structlog.testing.capture_logs() as logs:
        async with service_harness.start(service_harness.settings(**groups), replicas=0) as here:
            here.broker.configure("mrs.requests.ledger", max_message_bytes="1048588")  # Kafka's default
            await here.start_replica()
            for number, message in enumerate(malformed.messages(7, _COUNT)):
                _put(here, message)
                if number % _EVERY == _EVERY - 1:
                    here.put(service.sql(f"good-{number // _EVERY}", "presto", "select 1"))
            partition = await _until_read(here, _COUNT + len(good))
            events, letters = here.events(), _offsets_of_letters(here)
            published = here.broker.committed("mrs.events")

    assert (partition.crashes, partition.failures, partition.next_offset) == (0, 0, _COUNT + len(good))

    stories = [event for event in events if event.request_id in set(good)]
    assert history.faults(good, stories, []) == []
    assert {event.state for event in stories if event.state in history.LAST} == {"succeeded"}
    assert set(letters.values()) == {1}

    shown = {event.request_id for event in events if re.fullmatch(r"bad-\d+", event.request_id)}
    assert not shown & {f"bad-{offset - offset // (_EVERY + 1)}" for offset in letters}
    assert len(shown) + len(letters) > 0.9 * _COUNT  # the rest have ids of their own, or wait for a cancel
    assert damage.SECRET not in str(logs)
    assert not [one for one in published if damage.SECRET.encode() in (one.value or b"")]
