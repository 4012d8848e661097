"""A requests topic that took the place of another one: each of its messages is answered, at whatever offset it is."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import service, service_harness

pytestmark = pytest.mark.looptime


async def _accept_new_topic(here: service_harness.ServiceHarness) -> None:
    """Stop the relay, delete the requests topic and create it again, and start a relay that accepts that."""
    await here.replicas[-1].kill()
    here.broker.create_topic(here.chosen.kafka.topics.requests, 1)
    here.chosen = here.chosen.model_copy(update={"kafka": here.chosen.kafka.model_copy(update={"accept_loss": True})})
    await here.start_replica()


async def _until(here: service_harness.ServiceHarness, request_id: str, state: str) -> None:
    async with asyncio.timeout(600):
        while state not in here.states(request_id):
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
@pytest.mark.parametrize("first", ["runs", "wrong"])
async def test_every_message_of_an_accepted_new_topic_is_answered(guarantee: str, first: str) -> None:
    """A repetition at the offset of its job or another, and a corrected request that is not behind the rejected one."""
    async with service_harness.start(service_harness.settings(kafka={"guarantee": guarantee})) as here:
        here.put(service.job("runs", name="runs"))
        wrong = service.job("wrong", name="wrong")
        here.put(wrong.replace(b"SparkSubmit", b"NoSuchType"))
        await _until(here, "wrong", "rejected")
        await _until(here, "runs", "succeeded")
        await _accept_new_topic(here)
        before = len(here.events())

        messages = [service.job("runs", name="runs"), wrong]
        for message in messages if first == "runs" else reversed(messages):
            here.put(message)
        await _until(here, "wrong", "succeeded")
        await asyncio.sleep(60)
        answers = [seen for seen in here.events()[before:] if seen.data.get("repeated")]
        assert [(seen.request_id, seen.state) for seen in answers] == [("runs", "succeeded")]
        assert sorted(name.split("-")[0] for name in here.created()) == ["runs", "wrong"]
