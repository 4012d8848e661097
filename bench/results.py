"""
Rows in chunks: a million rows from OBS to the results topic, beside obstore alone.

The object lies at the emulator's OBS in a process of its own. obstore alone reads it and drops it. The relay's part
reads it, cuts it into chunks, hashes them, and hands them to a producer that drops them: its rate is judged, and so is
how long it blocks the event loop. The same as Arrow begins with the import of the library, and is measured, not judged.
Then CSV goes to a real Kafka, where the growth of memory is judged, too. All of it once with OBS on this machine, where
reading is copying memory, and once over a link as a network has it.

    PYTHONPATH=. python bench/results.py [--rows 1000000] [--rounds 5] [--mbit-per-s 1000] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import pathlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import obstore
from aiokafka import admin
from bench import peak_memory, stage, stopwatch
from obstore import store
from tests.support import brokers, ports, service

from mrs_emulator.core import settings as emulator_settings
from mrs_relay.common import clock, logs
from mrs_relay.engine.execution import chunk_sink
from mrs_relay.engine.work import arrow_chunks, arrow_stream
from mrs_relay.kafka import records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.messages import chunks, events
from mrs_relay.obs import client, paths, settings, transport

PLACE: Final = paths.parse("obs://lake/results/rows.csv")
KEY: Final = emulator_settings.Credential()
TOPIC: Final = "mrs.results"
_MIB: Final = 1 << 20
_BEAT_S: Final = 0.001


class Dropping:
    """A producer that stores nothing."""

    tainted = False

    async def start(self) -> None:
        """Connect to nothing."""

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        """Say where the records would be."""
        await asyncio.sleep(0)
        return [records.Block(records.Position(TOPIC, 0), 0, len(outgoing))] if outgoing else []

    async def kill(self) -> None:
        """Close nothing."""


def write_object(folder: pathlib.Path, rows: int) -> int:
    """Leave an object of so many rows; returns its size."""
    file = folder / PLACE.bucket / PLACE.key
    file.parent.mkdir(parents=True)
    with file.open("w", newline="") as target:
        target.write("id,customer,amount,note\n")
        for number in range(rows):
            target.write(
                f'{number},customer-{number % 9973:05d},{number * 7 % 100_000 / 100:.2f},"a ""note"", of few"\n'
            )
    return file.stat().st_size


def opened(port: int) -> client.Client:
    """Return the relay's client of OBS."""
    given = {"endpoint": f"http://127.0.0.1:{port}", "region": "cn-north-4", "path_style": True}
    group = settings.ObsSettings.model_validate(given)
    return client.Client(group, client.over_network(group), lambda: transport.OwnKeys(KEY.access_key, KEY.secret_key))


async def read_alone(port: int) -> int:
    """Read the object with obstore and drop it."""
    bucket = store.S3Store(
        PLACE.bucket,
        config={
            "endpoint": f"http://127.0.0.1:{port}",
            "access_key_id": KEY.access_key,
            "secret_access_key": KEY.secret_key.get_secret_value(),
            "region": "cn-north-4",
            "virtual_hosted_style_request": False,
        },
        client_options={"allow_http": True},
    )

    size = 0
    found = await obstore.get_async(bucket, PLACE.key)
    async for piece in found.stream(min_chunk_size=256 * 1024):
        size += len(bytes(piece))
    return size


async def chunked(objects: client.Client, sink: chunk_sink.ChunkSink) -> events.ChunkedRows:
    """Write the object as chunks."""
    origin = chunks.Origin(b"k", "/bench", f"r-{time.monotonic_ns()}", 1, "/relay")
    async with contextlib.aclosing(objects.stream(PLACE)) as content:
        return await sink.store(origin, content, has_header=True)


async def chunked_as_arrow(objects: client.Client, sink: chunk_sink.ChunkSink) -> events.ChunkedRows:
    """Write the object as chunks of Arrow, as a relay does."""
    origin = chunks.Origin(b"k", "/bench", f"r-{time.monotonic_ns()}", 1, "/relay", "arrow")
    await asyncio.to_thread(arrow_stream.load)
    cutter = functools.partial(arrow_chunks.ArrowChunks, arrow_stream.Rows(has_header=True, kinds=None))
    async with contextlib.aclosing(objects.stream(PLACE)) as content:
        return await sink.store(origin, content, has_header=False, cutter=cutter)


@contextlib.asynccontextmanager
async def halts() -> AsyncIterator[list[float]]:
    """
    Collect the halts of the event loop, in milliseconds: threads that hold the interpreter's lock halt it, too.

    A halt is counted up to the CPU time that this process has had meanwhile, since other processes halt it as well.
    """
    found: list[float] = []

    async def beat() -> None:
        then_s, cpu_s = time.perf_counter(), time.process_time()
        while True:
            await asyncio.sleep(_BEAT_S)
            now_s, now_cpu_s = time.perf_counter(), time.process_time()
            found.append(min(now_s - then_s - _BEAT_S, now_cpu_s - cpu_s) * 1000)
            then_s, cpu_s = now_s, now_cpu_s

    gc.freeze()  # as the relay does
    beating = asyncio.create_task(beat(), name="beat")
    try:
        yield found
    finally:
        beating.cancel()
        gc.unfreeze()


async def rates(rounds: int, size: int, *works: Callable[[], Awaitable[object]]) -> list[float]:
    """Return MiB a second of each work, the best of all rounds; they take turns, so that each has the same machine."""
    best = [0.0] * len(works)
    for _ in range(rounds):
        for number, work in enumerate(works):
            begun_s = time.perf_counter()
            await work()
            best[number] = max(best[number], size / _MIB / (time.perf_counter() - begun_s))
    return best


def grown_mib(before_bytes: int) -> float:
    """Return the growth of the largest memory that this process has held."""
    return (peak_memory.peak_bytes() - before_bytes) / _MIB


async def measure(port: int, size: int, rows: int, rounds: int) -> dict[str, object]:
    """Measure everything that needs no Kafka."""
    objects, watch = opened(port), stopwatch.Stopwatch()
    sink = chunk_sink.ChunkSink(Dropping, TOPIC, "/relay", 1_000_000, clock.SystemClock())
    await read_alone(port)

    before_bytes = peak_memory.peak_bytes()
    with watch.running():
        stored = await chunked(objects, sink)
    grown = grown_mib(before_bytes)
    assert (stored.row_count, stored.size_bytes) == (rows, size)

    alone, ours = await rates(rounds, size, lambda: read_alone(port), lambda: chunked(objects, sink))

    return {
        "rows": rows,
        "size_mib": round(size / _MIB, 1),
        "chunks": stored.count,
        "obstore_mib_per_s": round(alone, 1),
        "chunks_mib_per_s": round(ours, 1),
        "ratio": round(ours / alone, 3),
        "grown_mib": round(grown, 1),
        "longest_ms": round(watch.worst[0] * 1000, 1),
        "longest_of": watch.worst[1],
    }


async def measure_arrow(port: int, size: int, rows: int, rounds: int) -> dict[str, object]:
    """Measure the same as Arrow; to be called before anything else of the process has imported it."""
    objects, watch = opened(port), stopwatch.Stopwatch()
    sink = chunk_sink.ChunkSink(Dropping, TOPIC, "/relay", 1_000_000, clock.SystemClock())
    before_bytes = peak_memory.peak_bytes()

    async with halts() as of_load:
        await asyncio.to_thread(arrow_stream.load)

    async with halts() as of_rows:
        with watch.running():
            stored = await chunked_as_arrow(objects, sink)

    grown = grown_mib(before_bytes)
    assert stored.row_count == rows

    (rate,) = await rates(rounds, size, lambda: chunked_as_arrow(objects, sink))

    return {
        "arrow_chunks": stored.count,
        "arrow_mib_per_s": round(rate, 1),
        "arrow_grown_mib": round(grown, 1),
        "arrow_longest_ms": round(watch.worst[0] * 1000, 1),
        "arrow_load_halt_ms": round(max(of_load), 1),
        "arrow_halt_ms": round(max(of_rows), 1),
    }


async def measure_link(port: int, size: int, rounds: int) -> dict[str, object]:
    """Measure the rates over a link."""
    objects = opened(port)
    sink = chunk_sink.ChunkSink(Dropping, TOPIC, "/relay", 1_000_000, clock.SystemClock())
    alone, ours = await rates(rounds, size, lambda: read_alone(port), lambda: chunked(objects, sink))
    return {
        "link_obstore_mib_per_s": round(alone, 1),
        "link_chunks_mib_per_s": round(ours, 1),
        "link_ratio": round(ours / alone, 3),
    }


async def measure_kafka(port: int, link: int, size: int, rounds: int, bootstrap: str) -> dict[str, object]:
    """Measure the same to a real Kafka; `link` is the port of OBS behind the link."""
    topic = f"results-{time.monotonic_ns()}"
    making = admin.AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await making.start()
    await making.create_topics([admin.NewTopic(topic, 1, 1)])
    await making.close()
    broker = kafka_client.KafkaBroker(kafka_settings.KafkaSettings(bootstrap_servers=bootstrap))
    producing = functools.partial(broker.producer, None, idempotent=False)
    sink = chunk_sink.ChunkSink(producing, topic, "/relay", 1_000_000, clock.SystemClock())
    objects, watch = opened(port), stopwatch.Stopwatch()

    before_bytes = peak_memory.peak_bytes()
    try:
        with watch.running():
            await chunked(objects, sink)
        grown = grown_mib(before_bytes)
        (rate,) = await rates(rounds, size, lambda: chunked(objects, sink))
        over_link = opened(link)
        (link_rate,) = await rates(rounds, size, lambda: chunked(over_link, sink))
    finally:
        await sink.close()

    return {
        "kafka_mib_per_s": round(rate, 1),
        "link_kafka_mib_per_s": round(link_rate, 1),
        "kafka_grown_mib": round(grown, 1),
        "kafka_longest_ms": round(watch.worst[0] * 1000, 1),
    }


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mbit-per-s", type=float, default=1000, help="speed of the link")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    logs.setup(level="ERROR")
    stage.quiet()

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        port = ports.free_port()
        size = write_object(folder / "obs", given.rows)
        with service.emulator(folder, "--obs-port", str(port), "--obs", str(folder / "obs")):
            found = asyncio.run(measure(port, size, given.rows, given.rounds)) | {"link_mbit_per_s": given.mbit_per_s}
            found |= asyncio.run(measure_arrow(port, size, given.rows, given.rounds))
            with stage.link(port, given.mbit_per_s) as link, brokers.start_kafka(folder) as kafka:
                found |= asyncio.run(measure_link(link, size, given.rounds))
                found |= asyncio.run(measure_kafka(port, link, size, given.rounds, kafka.bootstrap))

    stage.show(found, as_json=given.json)


if __name__ == "__main__":
    main()
