"""The same with aiokafka alone: `python plain_aiokafka.py BOOTSTRAP CLUSTER [PREFIX]`."""

import asyncio, json, sys, uuid  # noqa: E401 - short on purpose

import aiokafka


async def main(bootstrap: str, cluster: str, prefix: str = "mrs") -> None:
    request = {"id": str(uuid.uuid4()), "source": "/plain", "type": "mrs.sql.submit"}
    request["data"] = {"cluster": cluster, "engine": "spark", "statement": "SELECT 1 AS one"}
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    events = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    async with producer, events:
        parts = await producer.partitions_for(f"{prefix}.events")
        events.assign([aiokafka.TopicPartition(f"{prefix}.events", part) for part in parts])
        await events.seek_to_end()  # before sending, so that no event is missed
        await producer.send_and_wait(f"{prefix}.requests", json.dumps(request).encode(), key=cluster.encode())
        async for record in events:
            data = json.loads(record.value)
            if data["request"]["id"] == request["id"] and data["state"] in {"succeeded", "failed", "rejected", "unknown", "cancelled"}:
                return print(data["state"], data.get("result"), data.get("reason"))


asyncio.run(main(*sys.argv[1:]))
