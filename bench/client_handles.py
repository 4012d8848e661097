"""
The client library with many requests under way: memory, and the delay from an event to the caller who waits for it.

A process of its own opens one `RelayClient`, submits the requests and waits for all of them; this script plays the
relay on a real Kafka: three events for each request, then, at a steady rate, the last one. The clock runs from just
before an event is given to the producer to the moment in which the waiting coroutine continues. Memory is all that the
process holds, interpreter and libraries included. A bare aiokafka consumer reads the same events at the same time in
one more process: its delays are those of the broker and of the machine.

    PYTHONPATH=. python bench/client_handles.py [--handles 10000] [--per-s 500] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pathlib
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiokafka
from bench import peak_memory, stage
from tests.support import brokers

from mrs_relay.client import handle, relay, wording
from mrs_relay.common import clock
from mrs_relay.kafka import settings
from mrs_relay.messages import events

PREFIX: Final = "client"
SOURCE: Final = "/bench/client"
SENT: Final = "sent_us"
"""Label in which the last event says when it was sent, microseconds since the epoch."""

_AT_ONCE: Final = 200
_LONGEST_S: Final = 300.0


def event(number: int, state: events.State, sequence: int, sent_us: int = 0) -> tuple[bytes, bytes, events.Headers]:
    """Return an event as the relay writes it, with what MRS says of a job."""
    name = f"r-{number}"
    submitted = sequence > 1

    data = events.EventData(
        request=events.RequestRef(id=name, source=SOURCE),
        state=state,
        sequence=sequence,
        attempt=int(submitted),
        cluster=stage.CLUSTER,
        labels={SENT: str(sent_us)} if sent_us else {"team": "reporting"},
        mrs=events.MrsView(
            job_id=f"6b2f1c34-7f0e-4a52-9c11-{number:012d}",
            job_name=f"sql-mr{number:014x}",
            job_state="RUNNING",
            job_result="UNDEFINED",
            app_id=f"application_1795420800000_{number:06d}",
            submitted_at=clock.rfc3339(1_795_420_800_000 + number),
        )
        if submitted
        else None,
    )

    event = events.Event(
        subject="sql",
        key=b"key-%d" % (number % 64),
        time_ms=1_795_420_800_000,
        data=events.body(data),
        event_id=f"{events.identity(SOURCE, name)}-{sequence}",
        correlation_id=name,
    )

    return events.write(event, "/mrs-relay")


class Relay:
    """Writes events."""

    def __init__(self, producer: aiokafka.AIOKafkaProducer) -> None:
        self._producer = producer

    async def tell(self, number: int, state: events.State, sequence: int, sent_us: int = 0) -> None:
        """Write one event; returns before it is acknowledged."""
        key, value, headers = event(number, state, sequence, sent_us)
        await self._producer.send(f"{PREFIX}.events", value, key=key, headers=list(headers))

    async def tell_begin(self, handles: int) -> None:
        """Write the first three events of each request."""
        for sequence, state in enumerate(("accepted", "submitted", "running"), start=1):
            for number in range(handles):
                await self.tell(number, state, sequence)  # type: ignore[arg-type]  # one of the states above
        await self._producer.flush()

    async def tell_end(self, handles: int, per_s: int) -> None:
        """Write the last event of each request, evenly spread."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for number in range(handles):
            await asyncio.sleep(start_s + number / per_s - loop.time())
            await self.tell(number, "succeeded", 4, time.time_ns() // 1000)
        await self._producer.flush()


@asynccontextmanager
async def playing(bootstrap: str) -> AsyncIterator[Relay]:
    """Play the relay's part."""
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        yield Relay(producer)


async def wait(one: handle.Handle) -> float:
    """Wait for the end; the delay in milliseconds."""
    data = await one.result()
    return (time.time_ns() // 1000 - int((data.labels or {})[SENT])) / 1000


async def submit(client: relay.RelayClient, numbers: range) -> list[handle.Handle]:
    """Send these requests, one after the other."""
    request = wording.sql(stage.CLUSTER, "spark", "SELECT 1")
    return [await client.submit(request, request_id=f"r-{number}") for number in numbers]


async def until_running(handles: list[handle.Handle]) -> None:
    """Wait until all have got their third event."""
    for one in handles:
        async for data in one.events():
            if data.state == "running":
                break


async def play_service(bootstrap: str, handles: int) -> None:
    """Play the measured process: says on its output when all handles wait, and in the end what it found."""
    topics = settings.Topics(requests=f"{PREFIX}.requests", events=f"{PREFIX}.events")
    kafka = settings.KafkaSettings(bootstrap_servers=bootstrap, topics=topics)
    before_mb = resident_mb()

    async with relay.RelayClient(kafka, source=SOURCE) as client, asyncio.TaskGroup() as group:
        share = -(-handles // _AT_ONCE)
        sending = [
            group.create_task(submit(client, range(first, min(first + share, handles))))
            for first in range(0, handles, share)
        ]
        sent = [one for task in sending for one in await task]
        print("sent", flush=True)
        await until_running(sent)
        waiting = [group.create_task(wait(one)) for one in sent]
        del sent, sending
        await asyncio.sleep(1)
        print("waiting", flush=True)
        full_mb = resident_mb()
        delays = sorted([await task for task in waiting])
        left = client.following

    peak_mb = peak_memory.peak_bytes() / 2**20
    print(
        json.dumps(
            {
                "handles": handles,
                "memory_mb": round(full_mb, 1),
                "before_mb": round(before_mb, 1),
                "peak_mb": round(peak_mb, 1),
                "awake_p50_ms": median_ms(delays),
                "awake_p99_ms": p99_ms(delays),
                "awake_most_ms": round(delays[-1], 1),
                "followed_after": left,
            }
        )
    )


async def play_bare(bootstrap: str, handles: int) -> None:
    """Play the bare consumer: reads all ends, says what delays it saw."""
    consumer = aiokafka.AIOKafkaConsumer(
        f"{PREFIX}.events",
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=200,
    )

    delays: list[float] = []
    async with consumer:
        print("sent", flush=True)
        while len(delays) < handles:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                now_us = time.time_ns() // 1000
                labels = [json.loads(record.value)["labels"] for record in records]
                delays += [(now_us - int(published[SENT])) / 1000 for published in labels if SENT in published]

    delays.sort()
    print(json.dumps({"bare_p50_ms": median_ms(delays), "bare_p99_ms": p99_ms(delays)}))


def median_ms(delays: list[float]) -> float:
    """Return the value that half of the sorted delays stay below."""
    return round(statistics.median(delays), 1)


def p99_ms(delays: list[float]) -> float:
    """Return the value that 99 of 100 stay below."""
    return round(statistics.quantiles(delays, n=100)[98], 1)


def resident_mb() -> float:
    """Return memory that this process holds now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


async def said(process: asyncio.subprocess.Process) -> str:
    """Read the next line of the measured process."""
    assert process.stdout is not None
    async with asyncio.timeout(_LONGEST_S):
        return (await process.stdout.readline()).decode().strip()


@asynccontextmanager
async def process_of(role: str, bootstrap: str, handles: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start one of the processes that wait for events; yields it once it has said that it is connected."""
    command = [sys.executable, __file__, f"--{role}", bootstrap, "--handles", str(handles)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert await said(process) == "sent"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(bootstrap: str, handles: int, per_s: int) -> dict[str, Any]:
    """Start the waiting processes, play the relay, return what they found."""
    await stage.make_topics(bootstrap, PREFIX)
    async with (
        process_of("service", bootstrap, handles) as service,
        process_of("bare", bootstrap, handles) as bare,
        playing(bootstrap) as playing_relay,
    ):
        await playing_relay.tell_begin(handles)
        assert await said(service) == "waiting"
        await playing_relay.tell_end(handles, per_s)
        figures: dict[str, Any] = {**json.loads(await said(service)), **json.loads(await said(bare))}
    return {**figures, "added_p99_ms": round(figures["awake_p99_ms"] - figures["bare_p99_ms"], 1)}


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--handles", type=int, default=10_000)
    parser.add_argument("--per-s", type=int, default=500, help="ends a second")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--service", metavar="BOOTSTRAP", help=argparse.SUPPRESS)
    parser.add_argument("--bare", metavar="BOOTSTRAP", help=argparse.SUPPRESS)

    given = parser.parse_args()
    for role, bootstrap in ((play_service, given.service), (play_bare, given.bare)):
        if bootstrap:
            asyncio.run(role(bootstrap, given.handles))
            return

    stage.quiet()
    with tempfile.TemporaryDirectory() as folder, brokers.start_kafka(pathlib.Path(folder)) as kafka:
        figures = asyncio.run(measure(kafka.bootstrap, given.handles, given.per_s))
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
