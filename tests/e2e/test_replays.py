"""Dead letters and messages of requests are found where they stand, on real brokers, between transaction markers."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from tests.support import brokers, web_role

from mrs_relay.client import originals, replaying, wording
from mrs_relay.kafka import broker, records, settings, topic_io
from mrs_relay.kafka.adapter import client
from mrs_relay.messages import codec


@pytest.fixture(params=["kafka", "embedded"])
def node(request: pytest.FixtureRequest) -> brokers.Node:
    """Each broker in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, brokers.Node)
    return found


async def _topic(kafka: client.KafkaBroker) -> str:
    name = f"replay-{uuid.uuid4().hex[:8]}"
    async with kafka.admin() as admin:
        assert await admin.create([broker.TopicSpec(name, 2)]) == {}
        async with asyncio.timeout(60):
            while name not in await admin.partition_counts():
                await asyncio.sleep(0.05)
    return name


async def _commit(node: brokers.Node, kafka: client.KafkaBroker, outgoing: list[records.Outgoing]) -> None:
    """Write in transactions of a few records each, whose markers take offsets; the embedded broker has none."""
    if not isinstance(node, brokers.KafkaNode):
        await topic_io.send(kafka, outgoing)
        return
    producer = kafka.producer(f"replay-{uuid.uuid4().hex[:8]}", idempotent=True)
    await producer.start()
    for number in range(0, len(outgoing), 50):
        await producer.write(outgoing[number : number + 50])
    await producer.kill()


async def test_dead_letters_are_read_at_their_places(node: brokers.Node) -> None:
    """Also far from each other; a marker's place, and one behind the end, has none."""
    kafka = client.KafkaBroker(settings.KafkaSettings(bootstrap_servers=node.bootstrap))
    topic = await _topic(kafka)
    made = [web_role.letter(number) for number in range(400)]
    await _commit(
        node,
        kafka,
        [records.Outgoing(topic, one.key, one.value, one.headers, number % 2) for number, one in enumerate(made)],
    )
    stand = {}
    async for record in topic_io.read_all(kafka, topic):
        stand[record.partition, record.offset] = record
    assert len(stand) == 400

    wanted = [*sorted(stand)[::90], *sorted(stand)[-2:]]
    markers = {(0, offset) for offset in range(300)} - stand.keys()
    found = await replaying.at(kafka, topic, {*wanted, *markers, (1, 10**9), (7, 0)})
    assert found.keys() == set(wanted)
    for place, letter in found.items():
        assert letter.write() == (stand[place].key, stand[place].value, stand[place].headers)


async def test_messages_of_many_requests_are_found_by_one_search(node: brokers.Node) -> None:
    """In whichever partition they stand; what is missing has none."""
    kafka = client.KafkaBroker(settings.KafkaSettings(bootstrap_servers=node.bootstrap))
    topic = await _topic(kafka)
    data = {"cluster": "c-1", "engine": "spark", "statement": "select 1"}
    values = {
        f"r-{number}": codec.encode({"id": f"r-{number}", "source": "/t", "type": "mrs.sql.submit", "data": data})
        for number in range(120)
    }

    await _commit(
        node,
        kafka,
        [
            records.Outgoing(topic, b"k", value, wording.HEADERS, number % 2)
            for number, value in enumerate(values.values())
        ],
    )

    wanted = [originals.Wanted(topic, one, "/t", b"k") for one in (*list(values)[::7], "none")]
    found = await originals.find(kafka, topic, wanted)
    assert {one.id: [message.id for message in messages] for one, messages in found.items()} == {
        one.id: [one.id] if one.id in values else [] for one in wanted
    }
