"""Records of decisions: whether there is a topic for them is asked once, however many decide at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support import clocks, web_role

from mrs_relay.client import auditing
from mrs_relay.kafka import broker, records
from mrs_relay.kafka.memory import memory_topic_io
from mrs_relay.messages import audit


class _Asked(memory_topic_io.MemoryTopicClient):
    """Kafka that counts how often its topics are asked for, and takes its time."""

    count = 0

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[broker.Admin]:
        """Answer after a while."""
        self.count += 1
        await asyncio.sleep(0.05)
        async with super().admin() as found:
            yield found


@pytest.mark.parametrize("is_there", [True, False])
async def test_those_who_decide_meanwhile_wait_for_the_same_answer(*, is_there: bool) -> None:
    """None of them is carried out unrecorded because another one is still asking."""
    stage, warnings, kept = web_role.Stage(), list[str](), list[records.Outgoing]()
    if not is_there:
        stage.broker.drop_topic("mrs.audit")

    async def send(outgoing: Sequence[records.Outgoing]) -> None:
        kept.extend(outgoing)

    kafka, time = _Asked(stage.broker), clocks.HandClock(web_role.NOW_MS)
    trail = auditing.AuditTrail(kafka, "mrs.audit", "/x", send, time, warnings.append)
    data = audit.Data(action="cancel", via="http")
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(trail.write(None, (f"r-{number}", data)), name="decision")
    assert (kafka.count, len(warnings), len(kept)) == ((1, 0, 10) if is_there else (1, 1, 0))

    time.pass_s(61)
    await trail.write(None, ("r-11", data))
    assert (kafka.count, len(warnings)) == ((1, 0) if is_there else (2, 2))
