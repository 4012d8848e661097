"""
Bring the rows of a result to the caller: from its event, or put together from the chunks on the results topic.

The event names the chunks' number and the digest of all of them, so a chunk that is missing, double or damaged is
noticed. Arrow and pandas are imported only where they are asked for (extra `arrow`), by `arrow`.
"""

from __future__ import annotations

import codecs
import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mrs_relay import errors
from mrs_relay.client import arrow, failures
from mrs_relay.common import csv_text
from mrs_relay.kafka import topic_io
from mrs_relay.messages import chunks, events

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

Row = list[Any] | Mapping[str, Any]
"""Text (presto, and rows in chunks of CSV), JSON values (hive), values with types (Arrow), or an object (spark)."""

Fetch = Callable[[events.EventData], AsyncIterator[bytes]]
"""Yields the values of the chunks that an event names, in order."""


async def fetched(kafka: topic_io.TopicClient, data: events.EventData) -> AsyncIterator[bytes]:
    """
    Yield the values of the chunks that an event names, each once and in order.

    Raises:
        RowsMissing: a chunk has left the topic, or is damaged. StreamDown: Kafka cannot be reached. SettingsError:
        there is no such topic.
    """
    named = _chunked(data)
    expected, digests = 1, chunks.Digests()

    async with contextlib.aclosing(_found(kafka, data, named)) as found:  # the topic is closed behind the last chunk
        async for chunk in found:
            # The others are the same chunks, of a relay that crashed, or that still works although it was replaced.
            if chunk.number != expected:
                continue
            digests.add(chunk.digest)
            expected += 1
            yield chunk.value
            if expected > named.count:
                break

    if expected <= named.count:
        text = f"chunk {expected} of {named.count} is not on topic {named.topic}: it may have left the topic by now"
        raise failures.RowsMissing(text)
    if digests.named() != named.digest:
        raise failures.RowsMissing(f"the chunks on topic {named.topic} have another digest than the event names")


async def _found(
    kafka: topic_io.TopicClient, data: events.EventData, named: events.ChunkedRows
) -> AsyncGenerator[chunks.Chunk]:
    """Yield all chunks of the result, as they lie on the topic."""
    if not named.count:
        return
    async with topic_io.reading(kafka, named.topic) as (reader, bounds):
        # Without a place, which not every broker reports, all partitions are searched.
        starts = {number: bound.first for number, bound in bounds.items()}
        ends = {number: bound.end for number, bound in bounds.items()}
        place = named.partition
        if place is not None and place in bounds and named.first_offset is not None and named.end_offset is not None:
            starts = {number: bound.end for number, bound in bounds.items()}
            starts[place] = max(named.first_offset, bounds[place].first)
            ends = {place: named.end_offset}

        async for record in topic_io.read_span(reader, starts, ends):
            chunk = chunks.read(record.value, record.headers)
            if chunk is None or (chunk.source, chunk.id) != (data.request.source, data.request.id):
                continue
            if chunk.attempt != data.attempt:
                continue
            if not chunk.is_whole:
                raise failures.RowsMissing(f"chunk {chunk.number} on topic {named.topic} is damaged")
            yield chunk


async def of(data: events.EventData, fetch: Fetch) -> AsyncIterator[Row]:
    """
    Yield the rows of a result: lists of text (presto, chunks of CSV), lists (hive, Arrow), or objects (spark).

    Raises:
        RowsMissing: the result says that it has none, or not all of them; and as `fetched` does. ImportError: the rows
        are Arrow, and pyarrow is not installed.
    """
    result = _result(data)
    if result.chunks is None:
        for statement in result.statements:
            for row in _text_rows(statement):
                yield row
        return
    if result.chunks.format == "arrow":
        async for value in fetch(data):
            for values in arrow.rows(arrow.of_stream(value)):
                yield values
        return
    async for values in _rows_of_text(fetch(data), has_header=result.chunks.header):
        yield values


async def _rows_of_text(values: AsyncIterator[bytes], *, has_header: bool) -> AsyncIterator[list[str]]:
    """Yield the rows of a CSV text."""
    skip = has_header
    lines = _Lines()
    async for value in values:
        for row in lines.add(value):
            if not skip:
                yield row
            skip = False
    for row in lines.end():
        if not skip:
            yield row
        skip = False


async def as_arrow(data: events.EventData, fetch: Fetch) -> pa.Table:
    """
    Return the rows as an Arrow table; all columns of Presto, and of rows in chunks of CSV, are text: CSV has no types.

    Raises:
        RowsMissing: as `of` does. ImportError: pyarrow is not installed.
    """
    arrow.library()
    result = _result(data)
    if result.chunks is None:
        return _inline_table(result)
    if result.chunks.format == "arrow":
        return arrow.together([arrow.of_stream(value) async for value in fetch(data)])

    text = io.BytesIO()
    async for value in fetch(data):
        text.write(value)
    if not text.tell():
        return arrow.together([])
    text.seek(0)
    first = _first_row(text)
    text.seek(0)
    names = first if result.chunks.header else csv_text.column_names(len(first))
    return arrow.of_csv(text, names, has_header=result.chunks.header)


def _inline_table(result: events.Result) -> pa.Table:
    statement = result.statements[0] if result.statements else None
    if statement is None:
        return arrow.together([])
    if statement.arrow is not None:
        return arrow.of_base64(statement.arrow)
    return arrow.of_rows(list(_text_rows(statement)), [column.name for column in statement.columns])


def _text_rows(statement: events.StatementResult) -> Iterable[Any]:
    """Return the rows of a statement in an event; its text, or Arrow, is read."""
    if statement.arrow is not None:
        return arrow.rows(arrow.of_base64(statement.arrow))
    if statement.csv is None:
        return statement.rows
    read = list(_rows(statement.csv))
    return read[1:] if statement.columns else read


def _first_row(text: io.BytesIO) -> list[str]:
    lines = _Lines()
    for line in text:
        for row in lines.add(line):
            return row
    return next(lines.end(), [])


class _Lines:
    """Reads rows of a CSV text that comes in pieces; a piece may end anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._held = ""

    def add(self, piece: bytes) -> Iterator[list[str]]:
        """Yield the rows that are whole."""
        text = self._held + self._decoder.decode(piece)
        end = len(text)
        # The last line end outside of quotes: the number of quotes before it is even.
        while (end := text.rfind("\n", 0, end)) >= 0:
            if text.count('"', 0, end) % 2 == 0:
                break
        self._held = text[end + 1 :]
        if end >= 0:
            yield from _rows(text[: end + 1])

    def end(self) -> Iterator[list[str]]:
        """Yield the last row, which may end without a line break."""
        text, self._held = self._held + self._decoder.decode(b"", final=True), ""
        yield from _rows(text)


def _rows(text: str) -> Iterator[list[str]]:
    for row in csv_text.rows(io.StringIO(text, newline="")):
        yield row or [""]  # an empty line is a row of one empty value


def _result(data: events.EventData) -> events.Result:
    result = data.result
    if result is None:
        return events.Result()
    if result.unavailable:
        raise failures.RowsMissing(result.unavailable)
    if result.truncated:
        raise failures.RowsMissing("the event has only a part of the rows: ask for them as chunks")
    if result.location is not None and not result.statements and result.chunks is None:
        raise failures.RowsMissing(f"the event names the rows and does not bring them: {result.location[:200]}")
    return result


def _chunked(data: events.EventData) -> events.ChunkedRows:
    if data.result is None or data.result.chunks is None:
        raise errors.BadMessage("bad_value", "the result is not in chunks")
    return data.result.chunks
