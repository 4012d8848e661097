"""Rows as the client hands them out: from an event, and put together from chunks."""

from __future__ import annotations

import base64
import csv
import hashlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from mrs_relay import client as relay_client
from mrs_relay.client import rows
from mrs_relay.kafka import settings
from mrs_relay.kafka.memory import memory_broker, memory_topic_io
from mrs_relay.messages import chunks, events

pytestmark = pytest.mark.looptime

TOPIC = "mrs.results"
TEXT = [b'id,name\n1,"a ""b"""\n', '2,"two\nlines"\n3,ü\n'.encode(), b"4,last"]
ROWS = [["1", 'a "b"'], ["2", "two\nlines"], ["3", "ü"], ["4", "last"]]


def data(result: dict[str, Any] | None, attempt: int = 1) -> events.EventData:
    """Return the end of a request."""
    ref = {"id": "r", "source": "/s"}
    shown = {"request": ref, "state": "succeeded", "sequence": 3, "attempt": attempt, "result": result}
    return events.EventData.model_validate(shown)


def named(values: Sequence[bytes], **more: Any) -> dict[str, Any]:
    """Return what the event says of chunks."""
    digests = "".join(f"sha-256:{hashlib.sha256(value).hexdigest()}" for value in values)
    whole = f"sha-256:{hashlib.sha256(digests.encode()).hexdigest()}"
    return {
        "chunks": {
            "topic": TOPIC,
            "count": len(values),
            "row_count": 4,
            "size_bytes": 1,
            "digest": whole,
            "header": True,
            **more,
        }
    }


class Topic:
    """The results topic, with chunks on it."""

    def __init__(self) -> None:
        kafka = settings.KafkaSettings(topics=settings.Topics(results=TOPIC))
        self.broker = memory_broker.MemoryBroker(kafka)
        self.broker.create_topics(2)

    def put(self, number: int, value: bytes, *, request_id: str = "r", attempt: int = 1, says: bytes = b"") -> int:
        """Write one chunk; `says`: the value that its digest is of, if that is another."""
        origin = chunks.Origin(b"k", "/s", request_id, attempt, "/relay")
        return self.broker.put(TOPIC, 0, b"k", value, chunks.headers(origin, number, chunks.digest(says or value), 0))

    def fetch(self, wanted: events.EventData) -> AsyncIterator[bytes]:
        """Fetch as the client's handle does."""
        return rows.fetched(memory_topic_io.MemoryTopicClient(self.broker), wanted)

    async def rows(self, wanted: events.EventData) -> list[rows.Row]:
        """Return all rows of a result."""
        return [row async for row in rows.of(wanted, self.fetch)]


@pytest.mark.parametrize("step", [1, 3, 1000])
async def test_rows_are_put_together_whatever_lies_between_their_chunks(step: int) -> None:
    """Chunks that were written again, those of others and of other attempts, and records that are none."""
    topic, text = Topic(), b"".join(TEXT)
    values = [text[at : at + step] for at in range(0, len(text), step)]
    topic.put(1, b"x", request_id="other")
    topic.broker.put(TOPIC, 0, b"k", b"no chunk")
    topic.put(1, b"former attempt")
    for number, value in enumerate(values[:2], 1):
        topic.put(number, value, attempt=2)
    for number, value in enumerate(values, 1):
        topic.put(number, value, attempt=2)
    assert await topic.rows(data(named(values), attempt=2)) == ROWS


async def test_only_the_named_place_is_read() -> None:
    """Rows of an attempt may lie there twice; what lies before and after is passed over."""
    topic = Topic()
    topic.put(1, b"damaged", says=b"other")
    first, *_ = [topic.put(number, value) for number, value in enumerate(TEXT, 1)]
    topic.put(2, b"damaged", says=b"other")
    place = {"partition": 0, "first_offset": first, "end_offset": first + 3}
    assert await topic.rows(data(named(TEXT, **place))) == ROWS


async def test_chunks_of_a_relay_that_goes_on_after_it_was_replaced_are_passed_over() -> None:
    """It was frozen between two of them: its last ones lie among the first ones of the relay that the event is of."""
    topic = Topic()
    topic.put(1, TEXT[0])
    first = topic.put(1, TEXT[0])
    for number in (3, 2, 3):
        topic.put(number, TEXT[number - 1])
    place = {"partition": 0, "first_offset": first, "end_offset": first + 4}
    assert await topic.rows(data(named(TEXT, **place))) == ROWS


@pytest.mark.parametrize(
    ("numbers", "says"),
    [((1, 3), "chunk 2 of 3"), ((2, 3), "chunk 1 of 3"), ((1, 2), "chunk 3 of 3"), ((), "chunk 1 of 3")],
)
async def test_chunks_that_are_missing_are_an_error(numbers: Sequence[int], says: str) -> None:
    """Never a result with a hole."""
    topic = Topic()
    for number in numbers:
        topic.put(number, TEXT[number - 1])
    with pytest.raises(relay_client.RowsMissing, match=says):
        await topic.rows(data(named(TEXT)))


async def test_chunks_with_another_content_are_an_error() -> None:
    """One that is damaged, and ones that are whole and not those of the event."""
    damaged, other = Topic(), Topic()
    for number, value in enumerate(TEXT, 1):
        damaged.put(number, value, says=b"" if number != 2 else b"x")
        other.put(number, value if number != 2 else b"5,x\n")
    with pytest.raises(relay_client.RowsMissing, match="is damaged"):
        await damaged.rows(data(named(TEXT)))
    with pytest.raises(relay_client.RowsMissing, match="another digest"):
        await other.rows(data(named(TEXT)))


async def test_rows_of_an_event_come_the_same_way() -> None:
    """Lists, objects, or text; without all rows, or with none, the reason is an error."""
    shown = {"columns": [{"name": "id"}, {"name": "name"}], "row_count": 4}
    topic = Topic()
    text = b"".join(TEXT).decode()
    for statement in ({"rows": ROWS, **shown}, {"rows": [], "csv": text, **shown}):
        assert await topic.rows(data({"statements": [statement]})) == ROWS
    assert await topic.rows(data({"statements": [{"rows": [{"n": 1}], "row_count": 1}]})) == [{"n": 1}]
    assert await topic.rows(data(None)) == []
    for result in ({"unavailable": "OBS is away"}, {"truncated": True}, {"location": "obs://b/k"}):
        with pytest.raises(relay_client.RowsMissing):
            await topic.rows(data(result))


async def test_long_values_are_read() -> None:
    """Python's own limit of a value is 131,072 characters; it holds for others as before."""
    before, long = csv.field_size_limit(), "x" * 200_000
    topic = Topic()
    topic.put(1, f"a\n{long}\n".encode())
    assert await topic.rows(data(named([f"a\n{long}\n".encode()]))) == [[long]]
    shown = {"rows": [], "csv": f"a\n{long}\n", "columns": [{"name": "a"}], "row_count": 1}
    assert await topic.rows(data({"statements": [shown]})) == [[long]]
    assert csv.field_size_limit() == before


async def test_json_values_become_arrow() -> None:
    """Rows of Hive are lists of JSON values; those of Spark before version 3.0 leave NULL out."""
    pytest.importorskip("pyarrow")
    for found, wanted in (
        ([[1, "a", None], [None, "b", None]], [{"column_1": 1, "column_2": "a"}, {"column_2": "b"}]),
        ([{"a": 1}, {"a": 2, "b": "x"}], [{"a": 1}, {"a": 2, "b": "x"}]),
    ):
        result = {"statements": [{"rows": found, "row_count": 2}]}
        table = await rows.as_arrow(data(result), Topic().fetch)
        shown = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
        assert shown == wanted


async def test_rows_become_arrow_and_pandas() -> None:
    """All columns are text; from chunks and from an event alike, also without rows."""
    pytest.importorskip("pyarrow")
    topic = Topic()
    for number, value in enumerate(TEXT, 1):
        topic.put(number, value)

    shown = {"columns": [{"name": "id"}, {"name": "name"}], "row_count": 4}
    for result in (named(TEXT), {"statements": [{"rows": ROWS, **shown}]}):
        table = await rows.as_arrow(data(result), topic.fetch)
        assert table.column_names == ["id", "name"]
        assert [list(row.values()) for row in table.to_pylist()] == ROWS
        assert {str(kind) for kind in table.schema.types} == {"string"}

    bare = await rows.as_arrow(data(named(TEXT, header=False)), topic.fetch)
    assert (bare.column_names, bare.num_rows) == (["column_1", "column_2"], 5)

    objects = {"statements": [{"rows": [{"n": 1}, {"n": 2}], "row_count": 2}]}
    assert (await rows.as_arrow(data(objects), topic.fetch)).to_pylist() == [{"n": 1}, {"n": 2}]
    assert (await rows.as_arrow(data(named([])), topic.fetch)).num_rows == 0

    one_column = Topic()
    one_column.put(1, b"id\n1\n\n3\n")  # the second value is NULL
    assert (await rows.as_arrow(data(named([b"id\n1\n\n3\n"])), one_column.fetch))["id"].to_pylist() == ["1", "", "3"]

    pytest.importorskip("pandas")
    assert list((await rows.as_arrow(data(named(TEXT)), topic.fetch)).to_pandas()["id"]) == ["1", "2", "3", "4"]


def stream(rows_of_it: dict[str, list[Any]]) -> bytes:
    """Return rows as an Arrow IPC stream."""
    table, sink = pa.table(rows_of_it), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


async def test_rows_as_arrow_come_from_an_event_and_from_chunks() -> None:
    """Lists with types, one table of all chunks; there may be no chunk."""
    values = [stream({"n": [1, None], "t": ["a", ""]}), stream({"n": [3], "t": ["c"]})]
    wanted: list[list[Any]] = [[1, "a"], [None, ""], [3, "c"]]
    topic = Topic()
    for number, value in enumerate(values, 1):
        topic.put(number, value)
    chunked = data(named(values, header=False, format="arrow"))
    assert await topic.rows(chunked) == wanted
    assert (await rows.as_arrow(chunked, topic.fetch)).to_pydict() == {"n": [1, None, 3], "t": ["a", "", "c"]}
    assert (await rows.as_arrow(data(named([], header=False, format="arrow")), topic.fetch)).num_rows == 0
    text = base64.b64encode(values[0]).decode()
    inline = data({"statements": [{"rows": [], "arrow": text, "row_count": 2}]})
    assert await topic.rows(inline) == wanted[:2]
    assert (await rows.as_arrow(inline, topic.fetch)).to_pylist()[0] == {"n": 1, "t": "a"}


@pytest.mark.parametrize("text", ["no base64", base64.b64encode(b"no stream").decode()])
async def test_rows_that_are_no_arrow_are_missing(text: str) -> None:
    """Never an error of the library."""
    with pytest.raises(relay_client.RowsMissing, match="no Arrow IPC stream"):
        await Topic().rows(data({"statements": [{"rows": [], "arrow": text, "row_count": 2}]}))


async def test_client_without_the_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of other formats need none."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    inline = data({"statements": [{"rows": [], "arrow": "", "row_count": 2}]})
    with pytest.raises(ImportError, match=r"mrs-relay\[arrow\]"):
        await Topic().rows(inline)
    assert await Topic().rows(data({"statements": [{"rows": [["1"]], "row_count": 1}]})) == [["1"]]
