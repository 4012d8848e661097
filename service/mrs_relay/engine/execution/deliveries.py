"""
Read the rows of a statement from OBS, as its job's delivery says, and make an address for those who read them there.

The path was checked when the job was decided on, and is checked here once more, as a ledger outlives settings. Each
read begins at the object's beginning and its rows become a result only when the whole object was read.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine.execution import chunk_sink
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import csv_rows
from mrs_relay.messages import chunks, events
from mrs_relay.obs import client as obs_clients
from mrs_relay.obs import paths

_log = structlog.get_logger(__name__)


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
        places = 1 if objects is None else max(1, objects.group.max_reads // 2)
        self._late_places = asyncio.Semaphore(places)
        self._inline_bytes = inline_bytes
        self._time = time

    async def read(self, job: jobs.Job, sink: chunk_sink.ChunkSink | None) -> events.Result:
        """
        Return the rows of a job, or their address, or both, or where their chunks are; or why OBS refuses them.

        Raises:
            ObsMissing, ObsDown: the rows may be read later.
        """
        delivery, location = asked(job)
        try:
            if delivery.chunks:
                result = await self._chunked(job, _checked(location, delivery), sink)
            elif delivery.inline:
                result = await self._rows(_checked(location, delivery), delivery)
            else:
                result = events.Result()
        except errors.ObsRefused as error:
            return await self.without_rows(delivery, location, str(error))
        return result.model_copy(update=await self._where(delivery, location))

    async def read_late(self, job: jobs.Job, sink: chunk_sink.ChunkSink | None) -> events.Result:
        """Do the same for rows that come late, which take half of the places: a success does not wait behind them."""
        async with self._late_places:
            return await self.read(job, sink)

    async def without_rows(self, delivery: jobs.Delivery, location: str, why: str) -> events.Result:
        """Return the reason why rows are missing, and the address of the object if one is wanted and can be made."""
        return events.Result(unavailable=why, **await self._where(delivery, location))

    async def _rows(self, place: paths.Place, delivery: jobs.Delivery) -> events.Result:
        objects = self._client()
        rows = csv_rows.CsvRows(
            has_header=objects.group.csv_header,
            as_text=delivery.format == "csv",
            max_rows=delivery.max_rows,
            max_bytes=min(delivery.max_bytes, self._inline_bytes),
        )
        await objects.read(place, rows.add)
        return rows.end()

    async def _chunked(self, job: jobs.Job, place: paths.Place, sink: chunk_sink.ChunkSink | None) -> events.Result:
        """Write the object to the results topic, a part at a time."""
        if sink is None:
            raise errors.ObsRefused("this relay writes no chunks: kafka.topics.results is not set")
        objects, key = self._client(), job.id.encode() if job.key is None else job.key
        origin = chunks.Origin(key, job.source, job.id, job.attempt, sink.event_source)
        async with contextlib.aclosing(objects.stream(place)) as content:
            stored = await sink.store(origin, content, has_header=objects.group.csv_header)
        return events.Result(chunks=stored)

    async def _where(self, delivery: jobs.Delivery, location: str) -> dict[str, str]:
        """Return the fields that name the object: its path, and an address if one is wanted and can be made."""
        if not delivery.signed_s:
            return {"location": location}
        until_ms = self._time.now_ms() + delivery.signed_s * 1000
        try:
            url = await self._client().sign(_checked(location, delivery), delivery.signed_s)
        except errors.ObsError as error:
            _log.warning("result_not_signed", error=str(error))
            return {"location": location}
        return {"location": location, "url": url, "url_expires_at": clock.rfc3339(until_ms)}

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
    try:
        place = paths.parse(location)
        if paths.is_below(place, paths.folder(delivery.folder)):
            return place
    except ValueError:
        pass
    raise errors.ObsRefused(f"the rows lie outside of {delivery.folder}, the only folder that is read")
