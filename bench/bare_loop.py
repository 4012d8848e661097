"""
The bare loop that the relay is measured against: consume, POST, produce, 64 in flight; no state, no guarantees.

Run by `bench/relay.py`. It does by hand what a first version of a service like this would do.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import aiohttp
import aiokafka

IN_FLIGHT = 64


async def run(bootstrap: str, requests: str, events: str, backend: str, count: int) -> None:
    """Carry `count` requests through and stop."""
    consumer = aiokafka.AIOKafkaConsumer(
        requests,
        bootstrap_servers=bootstrap,
        group_id="bare-loop",
        auto_offset_reset="earliest",
        enable_auto_commit=True,
    )
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    waiting: asyncio.Queue[aiokafka.ConsumerRecord] = asyncio.Queue(IN_FLIGHT)
    left = count
    done = asyncio.Event()
    await consumer.start()
    await producer.start()

    async def feed() -> None:
        async for record in consumer:
            await waiting.put(record)

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal left
        while True:
            record = await waiting.get()
            message = json.loads(record.value)
            data = message["data"]
            body = json.dumps(data["job"]).encode()
            url = f"{backend}/v2/0a1b2c3d/clusters/{data['cluster']}/job-executions"
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
                answer = json.loads(await reply.read())
            event = {"id": message["id"], "state": "submitted", "job_id": answer["job_submit_result"]["job_id"]}
            await producer.send_and_wait(events, json.dumps(event).encode(), key=record.key)
            left -= 1
            if left == 0:
                done.set()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        tasks = [asyncio.create_task(feed(), name="feed")]
        tasks += [asyncio.create_task(work(session), name=f"work {n}") for n in range(IN_FLIGHT)]
        await done.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await producer.stop()
    await consumer.stop()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "requests", "events", "backend"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--uvloop", action="store_true", help="use the same event loop as the relay")
    given = parser.parse_args()
    work = run(given.bootstrap, given.requests, given.events, given.backend, given.count)
    if given.uvloop:
        import uvloop  # noqa: PLC0415 - only when asked for

        uvloop.run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    main()
