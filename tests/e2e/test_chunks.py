"""Rows in chunks through real processes: Kafka, relays that are killed, the emulator's OBS, and the client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
from tests.support import brokers, history, ports, service, waiting

from mrs_relay import client as relay_client
from mrs_relay.kafka import records, settings, topic_io
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.messages import chunks

COUNT = 200_000
ROWS = f"select n, concat('customer ', cast(n as varchar)) as name from unnest(sequence(1, {COUNT})) as t(n) order by n"


MANY = 8_000
FEW = 50
TYPED = (
    "with t as (select explode(sequence(1, {count})) as n) "
    "select n, concat('row \"', cast(n as string), repeat('-', 60)) as name, "
    "n / 4 as quarter, n % 2 = 0 as is_even, if(n = 2, null, n) as none_once from t order by n"
)


@contextlib.contextmanager
def _deployment(
    kafka: brokers.KafkaNode, workdir: Path
) -> Iterator[tuple[service.Emulator, service.Deployment, settings.KafkaSettings]]:
    """Yield an emulator with OBS, a deployment with a topic for chunks but no relay, and its client's settings."""
    obs_port = ports.free_port()
    with service.emulator(workdir, "--obs-port", str(obs_port), "--run-s", "0.5") as mrs:
        topic = f"results-{time.monotonic_ns()}"
        more = {
            "RESULTS__PATH": "obs://lake/results",
            "OBS__ENDPOINT": f"http://127.0.0.1:{obs_port}",
            "OBS__PATH_STYLE": "true",
            "KAFKA__TOPICS__RESULTS": topic,
        }
        here = service.Deployment(kafka.bootstrap, f"chunks-{time.monotonic_ns()}", mrs.url, workdir, more=more)
        here.create_topics(partitions=2)
        names = settings.Topics(
            requests=here.requests, events=here.events, dead_letters=here.dead_letters, results=topic
        )
        yield mrs, here, settings.KafkaSettings(bootstrap_servers=here.bootstrap, topics=names)


async def test_rows_come_as_arrow_with_types_to_the_client(kafka: brokers.KafkaNode, tmp_path: Path) -> None:
    """A table of several chunks, and one of an event: the rows are those of the format without Arrow."""
    with _deployment(kafka, tmp_path) as (mrs, here, chosen):
        relay = here.start_relay("arrow")
        try:
            async with relay_client.RelayClient(chosen, source="/test") as client:

                async def sent(name: str, count: int, **result: object) -> relay_client.Handle:
                    wanted = relay_client.sql(service.CLUSTER, "spark", TYPED.format(count=count), result=result)
                    return await client.submit(wanted, request_id=name)

                large = await sent("large", MANY, deliver="chunks", format="arrow")
                short = await sent("short", FEW, format="arrow")
                plain = await sent("plain", FEW)
                data = [await handle.full_result(waiting.LIMIT_S) for handle in (large, short, plain)]
                table = await large.to_arrow()
                rows = [row async for row in large.rows()]
        finally:
            relay.kill()

        named = data[0].result.chunks if data[0].result else None
        assert named is not None
        assert (named.format, named.row_count, named.count > 1) == ("arrow", MANY, True)
        types = [pa.int64(), pa.string(), pa.float64(), pa.bool_(), pa.int64()]
        columns = ("n", "name", "quarter", "is_even", "none_once")
        assert table.schema == pa.schema(list(zip(columns, types, strict=True)))
        numbers = range(1, MANY + 1)
        assert rows == [[n, f'row "{n}{"-" * 60}', n / 4, n % 2 == 0, None if n == 2 else n] for n in numbers]
        assert [list(row.values()) for row in table.to_pylist()] == rows

        [inline], [shown] = ((one.result.statements if one.result else []) for one in data[1:])
        first = pa.ipc.open_stream(base64.b64decode(inline.arrow or "")).read_all()
        assert first.equals(table.slice(0, FEW).combine_chunks())
        assert first.to_pylist() == shown.rows
        assert (
            history.faults(
                ["large", "short", "plain"], await here.until_ended(["large", "short", "plain"]), _names(mrs)
            )
            == []
        )


def _names(mrs: service.Emulator) -> list[str]:
    return [effect["name"] for effect in mrs.effects()]


async def test_rows_come_in_chunks_and_are_whole_through_a_kill(kafka: brokers.KafkaNode, tmp_path: Path) -> None:
    """The relay is killed when some chunks are stored: the next one writes all, and the client gets each row once."""
    with _deployment(kafka, tmp_path) as (mrs, here, chosen):
        # Each part takes a while, so that the kill comes in between.
        mrs.fault(action="latency", operation="OBS.GetObject", count=2, seconds=3.0)
        first = here.start_relay("first")
        try:
            async with relay_client.RelayClient(chosen, source="/test") as client:
                wanted = relay_client.sql(service.CLUSTER, "presto", ROWS, result={"deliver": "chunks"})
                handle = await client.submit(wanted, request_id="q-1")
                await _some_stored(chosen)
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
        stored = [one async for one in topic_io.read_all(kafka_client.KafkaBroker(chosen), _topic(chosen))]
        assert len(stored) > data.result.chunks.count
        assert _identities(stored) == list(range(1, data.result.chunks.count + 1))


def _topic(kafka: settings.KafkaSettings) -> str:
    assert kafka.topics.results is not None
    return kafka.topics.results


async def _some_stored(kafka: settings.KafkaSettings) -> None:
    async with topic_io.tail(kafka_client.KafkaBroker(kafka), _topic(kafka), topic_io.BEGINNING) as tail:
        async with asyncio.timeout(waiting.LIMIT_S):
            while not await tail.take(0.2):
                pass


def _identities(stored: list[records.Record]) -> list[int]:
    """Return numbers of the chunks, each once: one that was written again has the same number and content."""
    found: dict[int, bytes] = {}
    for one in stored:
        chunk = chunks.read(one.value, one.headers)
        assert chunk is not None
        assert chunk.is_whole
        assert found.setdefault(chunk.number, chunk.value) == chunk.value
    return sorted(found)
