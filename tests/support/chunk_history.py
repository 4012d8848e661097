"""
An independent checker of rows in chunks: those that an event names are on the results topic, whole and in order.

It shares no code with the service: a chunk is headers and bytes, as any other reader would read them. A chunk that is
written again, by the same relay or its successor, has the same identity and the same content.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    One record of the results topic.

    Attributes:
        at: partition and offset.
        at_ms: when it was written.
        chunk_id: its identity.
        request_id: whose rows it has.
        attempt: of the request.
        number: within the result.
        digest: of its value, as its header says.
    """

    at: tuple[int, int]
    at_ms: int
    chunk_id: str
    request_id: str
    attempt: int
    number: int
    digest: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Named:
    """
    Chunks that an event names.

    Attributes:
        request_id: of the event.
        attempt: of the event.
        at_ms: when the event was written.
        chunks: what the event says of them.
    """

    request_id: str
    attempt: int
    at_ms: int
    chunks: Mapping[str, Any]


def chunk(at: tuple[int, int], at_ms: int, headers: Iterable[tuple[str, bytes]], value: bytes) -> Chunk:
    """Read a record of the results topic the way a reader in another language would."""
    attributes = {name: raw.decode() for name, raw in headers}
    assert attributes["ce_specversion"] == "1.0"
    assert attributes["ce_type"] == "mrs.sql.rows"
    return Chunk(
        at,
        at_ms,
        attributes["ce_id"],
        attributes["ce_subject"],
        int(attributes["ce_attempt"]),
        int(attributes["ce_sequence"]),
        attributes["ce_digest"],
        value,
    )


def named(request_id: str, at_ms: int, data: Mapping[str, Any]) -> Named | None:
    """Return the chunks that an event names; None: it names none."""
    chunks = (data.get("result") or {}).get("chunks")
    return None if chunks is None else Named(request_id, data["attempt"], at_ms, chunks)


def faults(events: Iterable[Named], stored: Sequence[Chunk], rows: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """
    Yield everything that is wrong with the chunks, a line each.

    Args:
        events: those that name chunks.
        stored: all records of the results topic.
        rows: request -> the first column of its rows.
    """
    first: dict[str, bytes] = {}
    for one in stored:
        if one.digest != _digest(one.value):
            yield f"chunk {one.chunk_id} has another digest than its header says"
        if first.setdefault(one.chunk_id, one.value) != one.value:
            yield f"chunk {one.chunk_id} stands for two different contents"
    for event in events:
        own = [one for one in stored if one.request_id == event.request_id and one.attempt == event.attempt]
        wrong = list(_faults_of(event, own, rows[event.request_id]))
        yield from (f"{event.request_id}: {fault}" for fault in wrong)


def _faults_of(event: Named, own: Sequence[Chunk], rows: Sequence[str]) -> Iterator[str]:
    said = event.chunks
    found: list[Chunk] = []
    for one in sorted((one for one in own if _is_within(one, said)), key=lambda one: one.at):
        if one.number == len(found) + 1:
            found.append(one)
    whole = b"".join(one.value for one in found)
    digest = _digest("".join(one.digest for one in found).encode())  # the digest of the chunks' digests
    if len(found) != said["count"]:
        yield f"{len(found)} of {said['count']} chunks are where the event says, in order"
    elif (len(whole), digest) != (said["size_bytes"], said["digest"]):
        yield f"{len(whole)} bytes with {digest}, the event says {said['size_bytes']} with {said['digest']}"
    elif late := [one.number for one in found if min(_written_ms(own, one)) > event.at_ms]:
        yield f"chunks {late} were stored after the event that names them"

    if said.get("format") == "arrow":
        read = [row for one in found for row in rows_of_arrow(one.value)]
        if len({_columns(one.value) for one in found}) > 1:
            yield "its chunks do not have the same columns"
    else:
        read = list(csv.reader(io.StringIO(whole.decode(errors="replace"))))[bool(said.get("header")) :]
    if [row[:1] for row in read] != [[value] for value in rows] or len(read) != said["row_count"]:
        yield f"its chunks have {len(read)} rows from {read[:1]} on, expected {len(rows)}; said: {said['row_count']}"


def rows_of_arrow(stream: bytes) -> list[list[Any]]:
    """Return the rows of an Arrow IPC stream."""
    columns = [column.to_pylist() for column in _table(stream).columns]
    return [list(row) for row in zip(*columns, strict=True)]


def rows_of_statement(shown: Mapping[str, Any]) -> list[list[Any]]:
    """Return the rows that an event has of a statement, as lists or as Arrow."""
    if "arrow" in shown:
        return rows_of_arrow(base64.b64decode(shown["arrow"]))
    return [list(row.values()) if isinstance(row, dict) else row for row in shown["rows"]]


def _columns(stream: bytes) -> str:
    return str(_table(stream).schema)


def _table(stream: bytes) -> Any:
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - only where rows come as Arrow

    return pa.ipc.open_stream(stream).read_all()


def _is_within(one: Chunk, said: Mapping[str, Any]) -> bool:
    """Return whether a chunk is where the event says, as far as it does."""
    partition, offset = one.at
    if said.get("partition") is None:
        return True
    within: bool = said["partition"] == partition and said["first_offset"] <= offset < said["end_offset"]
    return within


def _written_ms(own: Sequence[Chunk], wanted: Chunk) -> Iterator[int]:
    return (one.at_ms for one in own if one.number == wanted.number)


def _digest(value: bytes) -> str:
    return f"sha-256:{hashlib.sha256(value).hexdigest()}"
