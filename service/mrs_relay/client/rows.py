"""
Bring the rows of a result to the caller: from its event, or put together from the chunks on the results topic.

The event names the chunks' number and the digest of all of them, so a chunk that is missing, double or damaged is
noticed. Arrow and pandas are imported only where they are asked for (extra `arrow`).
"""

from __future__ import annotations

import codecs
import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mrs_relay import errors
from mrs_relay.client import failures
from mrs_relay.common import csv_text
from mrs_relay.kafka import topic_io
from mrs_relay.messages import chunks, events

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

Row = list[Any] | Mapping[str, Any]
"""Text (presto, and all rows in chunks), JSON values (hive), or an object (spark)."""

Fetch = Callable[[events.EventData], AsyncIterator[bytes]]
"""Yields the values of the chunks that an event names, in order."""

_EXTRA: Final = "install the extra `arrow`: pip install 'mrs-relay[arrow]'"


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
    Yield the rows of a result: lists of text (presto, and all rows in chunks), lists (hive), or objects (spark).

    Raises:
        RowsMissing: the result says that it has none, or not all of them; and as `fetched` does.
    """
    result = _result(data)
    if result.chunks is None:
        for statement in result.statements:
            for row in _text_rows(statement):
                yield row
        return

    skip = result.chunks.header
    lines = _Lines()
    async for value in fetch(data):
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
    Return the rows as an Arrow table; all columns of Presto, and of rows in chunks, are text: CSV has no types.

    Raises:
        RowsMissing: as `of` does. ImportError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - only for those who want it
        from pyarrow import csv as pa_csv  # noqa: PLC0415 - the same
    except ImportError as error:
        raise ImportError(f"pyarrow is not installed; {_EXTRA}") from error

    result = _result(data)
    if result.chunks is None:
        return _inline_table(pa, result)

    text = io.BytesIO()
    async for value in fetch(data):
        text.write(value)
    if not text.tell():
        return pa.table({})
    text.seek(0)
    first = _first_row(text)
    text.seek(0)
    names = first if result.chunks.header else [f"column_{number}" for number in range(1, len(first) + 1)]
    reading = pa_csv.ReadOptions(column_names=names, skip_rows=0, use_threads=True)
    parsing = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    types = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    table = pa_csv.read_csv(text, read_options=reading, parse_options=parsing, convert_options=types)
    return table.slice(1) if result.chunks.header else table


def _inline_table(pa: Any, result: events.Result) -> Any:  # noqa: ANN401 - pyarrow is optional
    statement = result.statements[0] if result.statements else None
    rows = [] if statement is None else list(_text_rows(statement))
    if rows and isinstance(rows[0], Mapping):
        keys = dict.fromkeys(name for row in rows for name in row)  # Spark before 3.0 leaves NULL out
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in keys})
    names = [column.name for column in statement.columns] if statement is not None else []
    width = len(rows[0]) if rows else len(names)
    names = names if len(names) == width else [f"column_{number}" for number in range(1, width + 1)]
    return pa.table({name: _column(pa, [row[at] for row in rows]) for at, name in enumerate(names)})


def _column(pa: Any, values: list[Any]) -> Any:  # noqa: ANN401 - pyarrow is optional
    """Return a column: text of Presto; values of Hive have the type that they share."""
    is_text = all(value is None or isinstance(value, str) for value in values)
    return pa.array(values, pa.string() if is_text else None)


def _text_rows(statement: events.StatementResult) -> Iterable[Any]:
    """Return the rows of a statement in an event; its text is read."""
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
