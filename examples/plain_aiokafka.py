"""The same with aiokafka alone: `python plain_aiokafka.py BOOTSTRAP CLUSTER [PREFIX]`."""

import asyncio
import json
import sys
import uuid

import aiokafka

LAST = {"succeeded", "failed", "rejected", "unknown", "cancelled"}


async def main(bootstrap: str, cluster: str, prefix: str = "mrs") -> None:
    """Submit, wait, print."""
    work = {"cluster": cluster, "engine": "spark", "statement": "SELECT 1 AS one"}
    request = {"id": str(uuid.uuid4()), "source": "/plain", "type": "mrs.sql.submit", "data": work}
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    events = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    async with producer, events:
        parts = await producer.partitions_for(f"{prefix}.events")
        events.assign([aiokafka.TopicPartition(f"{prefix}.events", part) for part in parts])
        await events.seek_to_end()  # before sending, so that no event is missed
        await producer.send_and_wait(f"{prefix}.requests", json.dumps(request).encode(), key=cluster.encode())
        async for record in events:
            data = json.loads(record.value)
            if data["request"]["id"] == request["id"] and data["state"] in LAST:
                print(data["state"], data.get("result"), data.get("reason"))
                break


asyncio.run(main(*sys.argv[1:]))
