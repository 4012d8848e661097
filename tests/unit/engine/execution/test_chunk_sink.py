"""How a result gets to the results topic."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
import pytest

from mrs_relay.common import clock
from mrs_relay.engine.execution import chunk_sink
from mrs_relay.engine.work import arrow_chunks, arrow_stream
from mrs_relay.kafka import records
from mrs_relay.messages import chunks

ORIGIN: Final = chunks.Origin(b"k", "/s", "r", 1, "/relay")
ROWS: Final = b'1,"a ""b"", c"\n' * 300_000


class Topic:
    """Takes records when it may."""

    tainted = False

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.may_take = asyncio.Event()

    async def start(self) -> None:
        """Connect to nothing."""

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        """Keep the values."""
        await self.may_take.wait()
        first = len(self.values)
        self.values += [one.value for one in outgoing if one.value is not None]
        return [records.Block(records.Position("mrs.results", 0), first, len(outgoing))]

    async def kill(self) -> None:
        """Close nothing."""


def sink_to(topic: Topic) -> chunk_sink.ChunkSink:
    """Return a sink that writes to it."""
    return chunk_sink.ChunkSink(lambda: topic, "mrs.results", "/relay", 1_000_000, clock.SystemClock())


async def test_large_pieces_are_cut_outside_of_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tasks go on meanwhile; the result is the same as that of small pieces, which need no thread."""
    threads: set[threading.Thread] = set()
    digest = chunks.digest

    def noted(value: bytes) -> str:
        threads.add(threading.current_thread())
        return digest(value)

    monkeypatch.setattr(chunks, "digest", noted)

    async def content(step: int) -> AsyncIterator[bytes]:
        for begin in range(0, len(ROWS), step):
            yield ROWS[begin : begin + step]

    found = []
    for step in (1 << 20, 10_000):
        topic = Topic()
        topic.may_take.set()
        threads.clear()
        stored = await sink_to(topic).store(ORIGIN, content(step), has_header=False)
        # The last chunk is cut when all is read: one, which takes a millisecond.
        assert (threads != {threading.current_thread()}) == (step > 100_000)
        assert (b"".join(topic.values), stored.row_count, stored.size_bytes) == (ROWS, 300_000, len(ROWS))
        assert (stored.first_offset, stored.end_offset) == (0, stored.count)
        found.append((topic.values, stored))
    assert found[0] == found[1]


async def test_no_more_is_read_than_kafka_takes() -> None:
    """While Kafka takes nothing, one write is on its way and one waits."""
    topic, read = Topic(), 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal read
        for begin in range(0, 4 * len(ROWS), 50_000):
            read += 50_000
            yield (ROWS + ROWS)[begin % len(ROWS) :][:50_000]
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        storing = group.create_task(sink_to(topic).store(ORIGIN, content(), has_header=False))
        for _ in range(1000):  # more turns than pieces
            await asyncio.sleep(0)
        assert 0 < read < 6 * (1 << 20)
        topic.may_take.set()
        stored = await storing
    assert stored.size_bytes == read == sum(map(len, topic.values))


async def test_arrow_is_made_outside_of_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of short pieces, any of which may end a chunk, and of the rest."""
    threads: set[threading.Thread] = set()
    stream = arrow_stream.stream

    def noted(batch: Any) -> bytes:
        threads.add(threading.current_thread())
        return stream(batch)

    monkeypatch.setattr(arrow_stream, "stream", noted)

    async def content() -> AsyncIterator[bytes]:
        for begin in range(0, len(ROWS), 10_000):
            yield ROWS[begin : begin + 10_000]

    topic, rows = Topic(), arrow_stream.Rows(has_header=False, kinds=None)
    topic.may_take.set()
    cutter = functools.partial(arrow_chunks.ArrowChunks, rows)
    origin = msgspec.structs.replace(ORIGIN, format="arrow")
    stored = await sink_to(topic).store(origin, content(), has_header=False, cutter=cutter)
    assert threads
    assert threading.current_thread() not in threads
    assert (stored.format, stored.row_count, stored.count) == ("arrow", 300_000, len(topic.values))
    assert max(map(len, topic.values)) <= 512 * 1024
