"""What a consumer fetches is unpacked before the library sees it; one partition's bad batch is no matter for others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import types
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
import pytest
from aiokafka.consumer import fetcher
from aiokafka.protocol import fetch
from aiokafka.structs import TopicPartition
from tests.support import batches as built
from tests.support import raw_records

from mrs_relay.kafka import broker, records
from mrs_relay.kafka.adapter import batches, fetches, unpacking

_MOST = 1 << 20
_BOMB = built.batch(2, [b"\0" * (2 << 20)], codec="zstd")


@asynccontextmanager
async def _consumer(
    logs: Mapping[int, bytes],
    monkeypatch: pytest.MonkeyPatch,
    version: Any = fetch.FetchResponse_v11,
    *,
    whole: bool = False,
) -> AsyncIterator[tuple[aiokafka.AIOKafkaConsumer, unpacking.Unpacker, list[int]]]:
    """
    Yield the library's consumer with its fetcher, and in place of brokers the bytes of each partition's batches.

    With `whole` fetches are parsed at once, as for a restore.
    """
    client = aiokafka.AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="none", **unpacking.OPTIONS)
    asked_for: list[int] = []

    async def answer(_node_id: object, request: fetch.FetchRequest, **_options: object) -> Any:
        asked_for.append(1)
        await asyncio.sleep(0)
        parts = []
        for _, asked in request.topics:
            for partition, offset, _ in asked:
                raw = _from(logs[partition], offset)
                facts: Any = {11: [100, 90, 0, [], -1], 4: [100, 90, []], 0: [100]}[version.API_VERSION]
                parts.append((partition, 0, *facts, raw))
        made = version(**{name: 0 for name in version.SCHEMA.names if name != "topics"}, topics=[("t", parts)])
        if not any(part[-1] for part in parts):
            await asyncio.sleep(0.01)
        return made

    monkeypatch.setattr(client._client, "send", answer)
    monkeypatch.setattr(client._client.cluster, "leader_for_partition", lambda _tp: 0)
    client._fetcher = fetcher.Fetcher(
        client._client, client._subscription, isolation_level="read_committed", check_crcs=False
    )
    client._coordinator = types.SimpleNamespace(check_errors=lambda: None)
    unpacker = unpacking.Unpacker(client, _MOST)
    if whole:
        unpacker.parses = False
        client._fetcher._records = fetches.Fetches(unpacker.parse)
    client._subscription.assign_from_user([TopicPartition("t", number) for number in logs])
    for number in logs:
        client.seek(TopicPartition("t", number), 0)
    try:
        yield client, unpacker, asked_for
    finally:
        await client._fetcher.close()
        await client._client.close()
        client._closed = True


def _from(log: bytes, offset: int) -> bytes:
    """Return the log from the batch on that has the offset, as brokers answer."""
    at = 0
    while at < len(log):
        end = at + 12 + int.from_bytes(log[at + 8 : at + 12], "big")
        first, more = int.from_bytes(log[at : at + 8], "big"), int.from_bytes(log[at + 23 : at + 27], "big")
        if first + more >= offset:
            return log[at:]
        at = end
    return b""


async def _read(client: aiokafka.AIOKafkaConsumer, rounds: int = 20) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for _ in range(rounds):
        for tp, some in (await client.getmany(timeout_ms=20)).items():
            found.setdefault(tp.partition, []).extend(record.offset for record in some)
    return found


@pytest.mark.parametrize(
    "version", [fetch.FetchResponse_v11, fetch.FetchResponse_v4, fetch.FetchResponse_v0], ids=["11", "4", "0"]
)
@pytest.mark.parametrize("whole", [False, True])
async def test_batches_of_all_compressions_reach_the_consumer(
    version: Any, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the version of the broker's answers."""
    log = b"".join(
        built.batch(2 * number, [b"a" * 900, b"b"], codec=codec) for number, codec in enumerate(sorted(built.CODECS))
    )
    async with _consumer({0: log}, monkeypatch, version, whole=whole) as (client, unpacker, _):
        assert await _read(client, 5) == {0: list(range(10))}
        assert unpacker.take_bad() is None
        assert unpacker.position(TopicPartition("t", 0)) == 10
        assert unpacker.position(TopicPartition("t", 1)) is None


@pytest.mark.parametrize(
    "bad",
    [
        _BOMB,
        built.damaged(built.batch(2, [b"x"])),
        built.changed(_BOMB, attributes=6),
        built.changed(built.batch(2, [b"x"]), body=b"\xff"),
    ],
    ids=["bomb", "damaged", "unknown", "broken within"],
)
@pytest.mark.parametrize("whole", [False, True])
async def test_bad_batch_stops_its_partition_alone(bad: bytes, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Every record before it and of the other partitions comes once; it is reported once, and not fetched over and over.

    The library alone loses what it has read of other partitions in the same call.
    """
    before, behind = built.batch(0, [b"a", b"b"]), built.batch(3, [b"d"])
    logs = {number: before + (bad if number == 1 else built.batch(2, [b"c"])) + behind for number in range(3)}

    async with _consumer(logs, monkeypatch, whole=whole) as (client, unpacker, asked_for):
        assert await _read(client) == {0: [0, 1, 2, 3], 1: [0, 1], 2: [0, 1, 2, 3]}
        reported = unpacker.take_bad()
        assert reported is not None
        assert (reported.position, reported.first, reported.next_offset) == (records.Position("t", 1), 2, 3)
        assert "the batch at offset 2 of t-1 cannot be read: it" in str(reported)
        assert unpacker.take_bad() is None
        assert client.paused() == {TopicPartition("t", 1)}
        count = len(asked_for)
        client.seek(TopicPartition("t", 1), 3)
        client.resume(TopicPartition("t", 1))
        assert await _read(client) == {1: [3]}
        assert count < 50


async def test_whole_fetch_has_the_records_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of aborted transactions, nor markers, nor what stands before the position within a batch."""
    parts = [
        built.batch(0, [b"a", b"b", b"c"]),
        built.batch(3, [b"gone"], producer_id=7),
        built.batch(4, [b"d"], producer_id=8),
        built.marker(5, 7, commit=False),
        built.marker(6, 8, commit=True),
        built.batch(7, [None], headers=[[("h", b"1"), ("null", None)]], producer_id=7),
        built.marker(8, 7, commit=True),
    ]
    async with _consumer({0: b"".join(parts)}, monkeypatch, whole=True) as (client, unpacker, _):
        send = client._client.send

        async def aborted(*args: Any, **options: Any) -> Any:
            response = await send(*args, **options)
            response.topics = [
                (topic, [(*some[:5], [(7, 3)], *some[6:]) for some in found]) for topic, found in response.topics
            ]
            return response

        monkeypatch.setattr(client._client, "send", aborted)
        client.seek(TopicPartition("t", 0), 1)
        found = []
        for _ in range(5):
            for some in (await client.getmany(timeout_ms=20)).values():
                found += some
        assert [(one.offset, one.key, one.value, tuple(one.headers)) for one in found] == [
            (1, b"k", b"b", ()),
            (2, b"k", b"c", ()),
            (4, b"k", b"d", ()),
            (7, b"k", None, (("h", b"1"), ("null", b""))),
        ]
        assert unpacker.position(TopicPartition("t", 0)) == 9


async def test_names_of_headers_that_are_no_text_are_rewritten_in_a_whole_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fetch is read again, and checked; what stands before comes once."""
    odd = built.batch(1, [b"b"], headers=[[(raw_records.Name(b"\xff"), b"1")]])
    log = built.batch(0, [b"a"]) + odd + built.batch(2, [b"c"])
    async with _consumer({0: log}, monkeypatch, whole=True) as (client, unpacker, _):
        assert await _read(client, 5) == {0: [0, 1, 2]}
        assert unpacker.take_bad() is None


async def test_bad_batch_of_a_partition_that_went_elsewhere_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a late answer says of an old position pauses nothing and is not reported."""
    async with _consumer({0: built.batch(0, [b"a", b"b"]) + _BOMB}, monkeypatch) as (client, unpacker, _):
        await _read(client, 5)
        client.seek(TopicPartition("t", 0), 0)
        client.resume(TopicPartition("t", 0))
        assert unpacker.take_bad() is None
        unpacker._note(TopicPartition("t", 0), 2, batches.Bad(2, 3, "it"))
        assert not client.paused()
        assert await _read(client, 5) == {0: [0, 1]}
        assert isinstance(unpacker.take_bad(), broker.BatchUnreadable)


async def test_what_partitions_unpack_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is within the bound, all together are not: they come one after the other, none is lost."""
    large = built.batch(0, [b"\0" * 700_000], codec="zstd") + built.batch(1, [b"\0" * 700_000], codec="gzip")
    async with _consumer(dict.fromkeys(range(4), large), monkeypatch) as (client, unpacker, _):
        sizes = []
        send = client._client.send

        async def watched(*args: Any, **options: Any) -> Any:
            response = await send(*args, **options)
            sizes.append(sum(len(part[-1]) for _, parts in response.topics for part in parts))
            return response

        monkeypatch.setattr(client._client, "send", watched)
        found = await _read(client, 40)
        assert found == {number: [0, 1] for number in range(4)}
        assert unpacker.take_bad() is None
        assert max(sizes) <= _MOST


@pytest.mark.parametrize("codec", ["none", "zstd"])
async def test_what_is_compressed_is_unpacked_outside_the_loop(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small batch may unpack to the whole bound; small uncompressed ones are not worth a thread."""
    outside: list[object] = []

    async def to_thread(work: Callable[..., object], *args: object) -> object:
        outside.append(work)
        return work(*args)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    async with _consumer({0: built.batch(0, [b"a" * 5000], codec=codec)}, monkeypatch) as (client, _, _):
        assert await _read(client, 3) == {0: [0]}
    assert bool(outside) is (codec == "zstd")


_STRANGER = """
import logging, sys
import aiokafka, aiokafka.consumer.fetcher, aiokafka.record.memory_records

def looks():
    names = sorted(name for name in sys.modules if name.split(".")[0] == "aiokafka")
    parts = {(name, part): id(value) for name in names for part, value in vars(sys.modules[name]).items()}
    loggers = [logging.getLogger(name) for name in names]
    return names, parts, [(one.name, one.level, one.filters, one.handlers) for one in loggers]

import mrs_relay.kafka.adapter.client
before = looks()
import mrs_relay.client
mrs_relay.client.RelayClient(bootstrap_servers="localhost:1")
assert looks() == before
import aiokafka.consumer.fetcher as fetcher, aiokafka.record.memory_records as known
assert fetcher.MemoryRecords is known.MemoryRecords
assert not any(one.filters for one in map(logging.getLogger, before[0]))
"""


def test_a_library_changes_nothing_of_the_library_for_others() -> None:
    """A program that uses aiokafka beside our client keeps it, and its logs, as they were."""
    subprocess.run([sys.executable, "-c", _STRANGER], check=True, timeout=60)
