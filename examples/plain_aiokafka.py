"""The same with aiokafka alone: `python plain_aiokafka.py BOOTSTRAP CLUSTER [REQUESTS EVENTS]`, topics at the end."""

import asyncio
import json
import sys
import uuid

import aiokafka


async def main(bootstrap: str, cluster: str, requests: str = "mrs.requests", events: str = "mrs.events") -> None:
    """Submit, wait, print."""
    work = {"cluster": cluster, "engine": "spark", "statement": "SELECT 1 AS one"}
    request = {"id": str(uuid.uuid4()), "source": "/plain", "type": "mrs.sql.submit", "data": work}
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer, consumer:
        consumer.assign([aiokafka.TopicPartition(events, part) for part in await producer.partitions_for(events)])
        await consumer.seek_to_end()  # before sending, so that no event is missed
        await producer.send_and_wait(requests, json.dumps(request).encode(), key=cluster.encode())
        async for record in consumer:
            told = json.loads(record.value)
            if told["request"]["id"] == request["id"]:
                print(told["state"], told.get("result"), told.get("reason"))
                if told["state"] in ("succeeded", "failed", "rejected", "cancelled", "unknown"):
                    break


asyncio.run(main(*sys.argv[1:]))
