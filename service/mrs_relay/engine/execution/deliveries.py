"""
Read the rows of a statement from OBS, as its job's delivery says, and make an address for those who read them there.

Rows of Presto are one object. Rows of Hive and Spark are the objects of a folder that the statement has written, whose
location ends with a slash; `remove` removes what was written there.

The path was checked when the job was decided on, and is checked here once more, as a ledger outlives settings. Each
read begins at the object's beginning and its rows become a result only when the whole object was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, TypedDict

import structlog

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine.execution import chunk_sink
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import (
    arrow_chunks,
    arrow_rows,
    arrow_stream,
    column_types,
    csv_chunks,
    csv_rows,
    json_rows,
    json_text,
    json_types,
    row_folders,
)
from mrs_relay.messages import chunks, events
from mrs_relay.obs import client as obs_clients
from mrs_relay.obs import paths, transport

_log = structlog.get_logger(__name__)

_MOST_SIGNED: Final = 100
"""Objects of a folder that get an address at most: an address has 300 bytes, and with temporary keys some 2,000."""

_REMOVED_AT_ONCE: Final = 500
"""Objects that are removed by one call at most. Source: OBS, DeleteObjects: 1,000."""

_READ_BYTES: Final = 16 * 1024
"""Bytes of JSON that are read at once: other tasks have a turn after them."""


class _Limits(TypedDict):
    as_text: bool
    max_rows: int
    max_bytes: int


class Deliveries:
    """
    Read what MRS has left in OBS.

    Args:
        objects: the client of OBS; None: this process has none.
        inline_bytes: bytes of rows that an event takes at most.
        time: the clock.
    """

    def __init__(self, objects: obs_clients.Client | None, inline_bytes: int, time: clock.Clock) -> None:
        self._objects = objects
        reads, streams = (1, 1) if objects is None else (objects.group.max_reads, objects.group.max_streams)
        self._late_places = asyncio.Semaphore(max(1, reads // 2))
        self._late_streams = asyncio.Semaphore(max(1, streams // 2))
        self._inline_bytes = inline_bytes
        self._time = time

    async def read(self, job: jobs.Job, sink: chunk_sink.ChunkSink | None) -> events.Result:
        """
        Return the rows of a job, or their address, or both, or where their chunks are; or why OBS refuses them.

        Raises:
            ObsMissing, ObsDown: the rows may be read later.
        """
        delivery, location = asked(job)
        if location.endswith("/"):
            return await self._read_folder(job, delivery, location, sink)

        try:
            if delivery.chunks:
                content = self._client().stream(_checked(location, delivery))
                has_header = self._client().group.csv_header
                result = await self._chunked(job, sink, content, has_header=has_header)
            elif delivery.inline:
                result = await self._rows(_checked(location, delivery), job, delivery)
            else:
                result = events.Result()
        except errors.ObsRefused as error:
            return await self.without_rows(delivery, location, str(error))

        return result.model_copy(update=await self._where(delivery, location))

    async def read_late(self, job: jobs.Job, sink: chunk_sink.ChunkSink | None) -> events.Result:
        """
        Do the same for rows that come late, which take half of the places: a success does not wait behind them.

        Those in chunks have places of their own, as large ones take long.
        """
        delivery, _ = asked(job)
        async with self._late_streams if delivery.chunks else self._late_places:
            return await self.read(job, sink)

    async def without_rows(self, delivery: jobs.Delivery, location: str, why: str) -> events.Result:
        """Return the reason why rows are missing, and the address of the object if one is wanted and can be made."""
        where = {"location": location} if location.endswith("/") else await self._where(delivery, location)
        return events.Result(unavailable=why, **where)

    async def remove(self, job: jobs.Job) -> int:
        """
        Remove what the attempts of a job have written to their folders; return the number of objects.

        Objects of other names are left alone, so a folder may stay.

        Raises:
            ObsError: some may be left; try again, or it is final (ObsRefused).
        """
        removed = 0
        delivery, objects = job.delivery, self._client()
        for folder in row_folders.folders(job) if delivery is not None else ():
            found = await objects.list_objects(folder)
            own = row_folders.written_to(folder, found)
            for begin in range(0, len(own), _REMOVED_AT_ONCE):
                await objects.delete_objects(folder.bucket, own[begin : begin + _REMOVED_AT_ONCE])
            removed += len(own)
        return removed

    async def _read_folder(
        self, job: jobs.Job, delivery: jobs.Delivery, location: str, sink: chunk_sink.ChunkSink | None
    ) -> events.Result:
        """
        Read the rows of a folder, or their addresses, or both, or write their chunks; or say why OBS refuses them.

        The folder is listed again behind its last object: rows of two writers of the same attempt never come mixed.
        """
        objects, result = self._client(), events.Result()
        try:
            folder = _checked(location, delivery)
            found = await objects.list_objects(folder)
            if all(one.key == folder.key for one in found):
                raise errors.ObsMissing(f"OBS has no object below {folder}")

            parts = row_folders.rows_in(folder, found)
            if delivery.chunks or delivery.inline:
                if delivery.chunks:
                    kinds = await self._kinds_of(folder, parts) if job.arrow else None
                    content, has_names = self._text_of(folder, parts), row_folders.has_names(folder)
                    result = await self._chunked(job, sink, content, has_header=has_names, kinds=kinds)
                else:
                    result = await self._rows_of(folder, parts, job, delivery)
                if await objects.list_objects(folder) != found:
                    raise errors.ObsDown(f"the objects below {folder} changed while they were read")

            return result.model_copy(update=await self._where(delivery, str(folder), parts))
        except errors.ObsRefused as error:
            return await self.without_rows(delivery, location, str(error))

    async def _text_of(self, folder: paths.Place, parts: list[transport.Listed]) -> AsyncGenerator[bytes, None]:
        """Yield the rows of a folder as one CSV text, whatever their number."""
        text_of_rows = json_text.JsonText(has_names=row_folders.has_names(folder))
        async with contextlib.aclosing(self._pieces_of(folder, parts)) as pieces:
            async for piece in pieces:
                yield text_of_rows.add(piece)

    async def _kinds_of(self, folder: paths.Place, parts: list[transport.Listed]) -> tuple[column_types.Kind, ...]:
        """Read the rows of a folder for the types of their columns."""
        seen = json_types.JsonTypes()
        async with contextlib.aclosing(self._pieces_of(folder, parts)) as pieces:
            async for piece in pieces:
                seen.add(piece)
        return seen.types.kinds

    async def _pieces_of(
        self, folder: paths.Place, parts: list[transport.Listed]
    ) -> AsyncGenerator[bytes | None, None]:
        """Yield the content of a folder's objects in short pieces; None: an object ends."""
        objects = self._client()
        size, most = sum(one.size for one in parts), objects.group.max_stream_bytes
        if size > most:
            text = f"{folder} has {size} bytes; at most {most} are written in chunks (obs.max_stream_bytes)"
            raise errors.ObsRefused(text)

        for part in (one for one in parts if one.size):
            async with contextlib.aclosing(objects.stream(paths.Place(folder.bucket, part.key))) as content:
                async for piece in content:
                    for begin in range(0, len(piece), _READ_BYTES):
                        yield piece[begin : begin + _READ_BYTES]
                        await asyncio.sleep(0)
            yield None

    async def _rows_of(
        self, folder: paths.Place, parts: list[transport.Listed], job: jobs.Job, delivery: jobs.Delivery
    ) -> events.Result:
        objects = self._client()
        size, most = sum(one.size for one in parts), objects.group.max_object_bytes
        if size > most:
            raise errors.ObsRefused(f"{folder} has {size} bytes; at most {most} are read (obs.max_object_bytes)")

        has_names = row_folders.has_names(folder)
        rows = json_rows.JsonRows(has_names=has_names, **self._limits(job, delivery))
        for part in parts:
            if part.size:
                await objects.read(paths.Place(folder.bucket, part.key), rows.add)
                rows.add(None)
        as_arrow = arrow_stream.Rows(has_header=has_names, kinds=rows.types.kinds)
        return await self._shown(job, delivery, rows.end(), as_arrow)

    async def _rows(self, place: paths.Place, job: jobs.Job, delivery: jobs.Delivery) -> events.Result:
        objects = self._client()
        has_header = objects.group.csv_header
        rows = csv_rows.CsvRows(has_header=has_header, **self._limits(job, delivery))
        await objects.read(place, rows.add)
        as_arrow = arrow_stream.Rows(has_header=has_header, kinds=None)
        return await self._shown(job, delivery, rows.end(), as_arrow)

    def _limits(self, job: jobs.Job, delivery: jobs.Delivery) -> _Limits:
        most = min(delivery.max_bytes, self._inline_bytes)
        return {
            "as_text": job.arrow or delivery.format == "csv",
            "max_rows": delivery.max_rows,
            "max_bytes": most * arrow_rows.TIMES_AS_LONG if job.arrow else most,
        }

    async def _shown(
        self, job: jobs.Job, delivery: jobs.Delivery, read: events.Result, as_arrow: arrow_stream.Rows
    ) -> events.Result:
        """Return rows as the request wants them; Arrow is made outside of the event loop."""
        if not job.arrow:
            return read
        return await asyncio.to_thread(arrow_rows.made, read, as_arrow, min(delivery.max_bytes, self._inline_bytes))

    async def _chunked(
        self,
        job: jobs.Job,
        sink: chunk_sink.ChunkSink | None,
        content: AsyncGenerator[bytes, None],
        *,
        has_header: bool,
        kinds: Sequence[column_types.Kind] | None = None,
    ) -> events.Result:
        """Write a text to the results topic, a part at a time."""
        if sink is None:
            raise errors.ObsRefused("this relay writes no chunks: kafka.topics.results is not set")
        key = job.id.encode() if job.key is None else job.key
        origin = chunks.Origin(key, job.source, job.id, job.attempt, sink.event_source, "arrow" if job.arrow else "csv")
        cutter: chunk_sink.MakeCutter = csv_chunks.CsvChunks
        async with contextlib.aclosing(content):
            if job.arrow:
                await asyncio.to_thread(arrow_stream.load)
                as_arrow = arrow_stream.Rows(has_header=has_header, kinds=kinds)
                cutter = functools.partial(arrow_chunks.ArrowChunks, as_arrow)
            stored = await sink.store(origin, content, has_header=has_header and not job.arrow, cutter=cutter)
        return events.Result(chunks=stored)

    async def _where(
        self, delivery: jobs.Delivery, location: str, parts: Sequence[transport.Listed] | None = None
    ) -> dict[str, Any]:
        """
        Return the fields that name the rows: their path, and addresses if they are wanted, few, and can be made.

        Args:
            delivery: how the rows are delivered.
            location: an object, or a folder.
            parts: the objects of the folder.
        """
        where: dict[str, Any] = {"location": location}
        if not delivery.signed_s or not (parts is None or 0 < len(parts) <= _MOST_SIGNED):
            return where
        until_ms = self._time.now_ms() + delivery.signed_s * 1000
        try:
            place = _checked(location, delivery)
            places = [place] if parts is None else [paths.Place(place.bucket, one.key) for one in parts]
            urls = [await self._client().sign(one, delivery.signed_s) for one in places]
        except errors.ObsError as error:
            _log.warning("result_not_signed", error=str(error))
            return where
        made = {"url": urls[0]} if len(urls) == 1 else {"urls": urls}
        return {**where, **made, "url_expires_at": clock.rfc3339(until_ms)}

    def _client(self) -> obs_clients.Client:
        if self._objects is None:
            raise errors.ObsRefused("this relay reads no rows: results.path is not set; the location names them")
        return self._objects


def asked(job: jobs.Job) -> tuple[jobs.Delivery, str]:
    """Return how the rows of a job are delivered, and where they are; only for a job that has both."""
    if job.delivery is None or job.location is None:
        raise ValueError("the job has no rows in OBS")
    return job.delivery, job.location


def _checked(location: str, delivery: jobs.Delivery) -> paths.Place:
    """Return the place of an object or of a folder that may be read."""
    try:
        return paths.below(location, delivery.folder)
    except ValueError as error:
        raise errors.ObsRefused(f"the path of the rows is not used: {error}") from error
