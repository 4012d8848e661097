"""Rows in chunks through real processes: Kafka, a relay that is killed, the emulator's OBS, and the client."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.support import brokers, history, ports, service, waiting

from mrs_relay import client as relay_client
from mrs_relay.kafka import records, settings, topic_io
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.messages import chunks

COUNT = 200_000
ROWS = f"select n, concat('customer ', cast(n as varchar)) as name from unnest(sequence(1, {COUNT})) as t(n) order by n"


async def test_rows_come_in_chunks_and_are_whole_through_a_kill(kafka: brokers.KafkaNode, tmp_path: Path) -> None:
    """The relay is killed when some chunks are stored: the next one writes all, and the client gets each row once."""
    obs_port = ports.free_port()
    with service.emulator(tmp_path, "--obs-port", str(obs_port)) as mrs:
        topic = f"results-{time.monotonic_ns()}"
        more = {
            "RESULTS__PATH": "obs://lake/results",
            "OBS__ENDPOINT": f"http://127.0.0.1:{obs_port}",
            "OBS__PATH_STYLE": "true",
            "KAFKA__TOPICS__RESULTS": topic,
        }
        here = service.Deployment(kafka.bootstrap, f"chunks-{time.monotonic_ns()}", mrs.url, tmp_path, more=more)
        here.create_topics(partitions=2)
        # Each part takes a while, so that the kill comes in between.
        mrs.fault(action="latency", operation="OBS.GetObject", count=2, seconds=3.0)

        names = settings.Topics(
            requests=here.requests, events=here.events, dead_letters=here.dead_letters, results=topic
        )
        chosen = settings.KafkaSettings(bootstrap_servers=here.bootstrap, topics=names)
        first = here.start_relay("first")
        try:
            async with relay_client.RelayClient(chosen, source="/test") as client:
                wanted = relay_client.sql(service.CLUSTER, "presto", ROWS, result={"deliver": "chunks"})
                handle = await client.submit(wanted, request_id="q-1")
                await _some_stored(chosen, topic)
                first.kill()
                second = here.start_relay("second")
                try:
                    data = await handle.full_result(waiting.LIMIT_S)
                    assert data.result is not None
                    assert data.result.chunks is not None
                    assert data.result.chunks.row_count == COUNT
                    found = [row async for row in handle.rows()]
                    assert found == [[str(number), f"customer {number}"] for number in range(1, COUNT + 1)]
                finally:
                    second.kill()
        finally:
            first.kill()

        events = await here.until_ended(["q-1"])
        assert history.faults(["q-1"], events, []) == []
        stored = [one async for one in topic_io.read_all(kafka_client.KafkaBroker(chosen), topic)]
        assert len(stored) > data.result.chunks.count
        assert _identities(stored) == list(range(1, data.result.chunks.count + 1))


async def _some_stored(kafka: settings.KafkaSettings, topic: str) -> None:
    async with topic_io.tail(kafka_client.KafkaBroker(kafka), topic, topic_io.BEGINNING) as tail:
        async with asyncio.timeout(waiting.LIMIT_S):
            while not await tail.take(0.2):
                pass


def _identities(stored: list[records.Record]) -> list[int]:
    """Numbers of the chunks, each once: one that was written again has the same number and content."""
    found: dict[int, bytes] = {}
    for one in stored:
        chunk = chunks.read(one.value, one.headers)
        assert chunk is not None
        assert chunk.is_whole
        assert found.setdefault(chunk.number, chunk.value) == chunk.value
    return sorted(found)
