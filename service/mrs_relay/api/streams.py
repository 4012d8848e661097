"""
Serve events as they are committed: as server-sent events, as lines of JSON, or as one answer that waits.

The id of an event is the position behind it, in Kafka's offsets. A client that comes back with it reads on exactly
there, on any replica. A position whose events are gone gives one `reset`, and the stream continues with new events.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from aiohttp import web

from mrs_relay.api import event_json, models, problems, replies, settings
from mrs_relay.api.access import scopes
from mrs_relay.messages import codec
from mrs_relay.read_model import changes, database, event_log, positions, projector, record_reader

BEGINNING: Final = "beginning"
_READ: Final = 500
_READ_BYTES: Final = 1_000_000
"""Of events that are in memory at once for each stream."""
_ASK_S: Final = 5.0
"""How often a reader is asked for again who it is, in seconds: a token may be taken back while it reads."""

_RETRY_MS: Final = 2_000
_NDJSON: Final = "application/x-ndjson"
_SSE: Final = "text/event-stream"

_log = structlog.get_logger(__name__)


class _Request(msgspec.Struct, frozen=True):
    id: str
    source: str


class _Data(msgspec.Struct, frozen=True):
    request: _Request
    state: str
    cluster: str | None = None
    labels: dict[str, str] | None = None


class _Event(msgspec.Struct, frozen=True):
    """The part of an event that filters look at."""

    type: str
    data: _Data
    source: str = ""


_decoder = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class Delivered:
    """
    What a reader gets next.

    Attributes:
        position: where the next event is read.
        event: CloudEvents JSON; None: nothing matched, only the position has moved.
        reset: why events are missing before this position; None: none are.
    """

    position: str
    event: str | None = None
    reset: str | None = None


class Matcher:
    """
    Which events a reader wants.

    Args:
        query: the filters.
        tenants: name of each tenant by the CloudEvents `source` of its events.
        visible: names of the tenants that the reader may see; None: all of them.
    """

    def __init__(
        self, query: models.EventsQuery, tenants: Mapping[str, str], visible: frozenset[str] | None = None
    ) -> None:
        self._query = query
        self._tenants = tenants
        self._visible = visible
        self._label = None if query.label is None else query.label.partition("=")
        wanted = (query.tenant, query.state, query.type, query.cluster, query.label, query.source, query.id, visible)
        self._all = all(one is None for one in wanted)

    def wants(self, text: str) -> bool:
        """Return whether an event matches all filters."""
        if self._all:
            return True

        event, query = _decoder.decode(text), self._query
        data = event.data
        tenant = self._tenants.get(event.source, event.source)
        if self._visible is not None and tenant not in self._visible:
            return False

        pairs = (
            (query.tenant, tenant),
            (query.state, data.state),
            (query.type, record_reader.kind_of(event.type)),
            (query.cluster, data.cluster),
            (query.source, data.request.source),
            (query.id, data.request.id),
        )

        if any(wanted is not None and wanted != found for wanted, found in pairs):
            return False
        return self._label is None or (data.labels or {}).get(self._label[0]) == self._label[2]


class EventReaders:
    """
    Makes readers of the event log, and counts them.

    Args:
        opened: the database.
        topics: what is read into it.
        changed: signals a change of the database.
        progress: how far it is.
        most: readers at the same time.

    Attributes:
        count: readers at present.
    """

    def __init__(
        self,
        opened: database.Database,
        topics: projector.Topics,
        changed: changes.Changes,
        progress: Callable[[], projector.Progress],
        most: int,
    ) -> None:
        self._database = opened
        self._topics = topics
        self._changed = changed
        self._progress = progress
        self._most = most
        self.count = 0

    @property
    def closed(self) -> bool:
        """Whether readers get nothing any longer."""
        return self._changed.closed

    def close(self) -> None:
        """Wake all readers; they get nothing any longer."""
        self._changed.close()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """
        Count a stream, or a call that waits, for the length of the context.

        Raises:
            ProblemError: as many as allowed are open.
        """
        if self.count >= self._most:
            raise problems.unavailable(f"{self.count} streams are open or calls wait, as many as api.streams allows")
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1

    async def open(self, request: web.Request, query: models.EventsQuery) -> Reader:
        """
        Return a reader from where the request wants to begin.

        Raises:
            ProblemError: it is no position, or "now" is not known yet, or the tenant is not the caller's.
        """
        scope = scopes.of(request)
        scope.require_named(query.tenant)
        text = query.after or request.headers.get("Last-Event-ID") or None
        cursor = event_log.Cursor(self._database, self._topics.events, await self._start(text))
        return Reader(cursor, Matcher(query, self._topics.tenants, scope.visible), self._changed)

    async def _start(self, text: str | None) -> positions.Position:
        if text is not None and text != BEGINNING:
            return _position(text)
        if not self._progress().caught_up:
            raise problems.unavailable("the topics are still being read for the first time; try again soon")
        logs = await event_log.current(self._database, self._topics.events)
        return event_log.beginning(logs) if text == BEGINNING else event_log.end(logs)


def _position(text: str) -> positions.Position:
    try:
        return positions.read(text)
    except positions.BadPosition as error:
        fault = models.Fault(field="after", message=str(error))
        text = f"after, Last-Event-ID: {error}"
        raise problems.ProblemError(400, "invalid-position", text, faults=[fault]) from None


class Reader:
    """
    Reads the event log for one client.

    Args:
        cursor: where it is.
        matcher: which events it wants.
        changed: signals that there may be more.
    """

    def __init__(self, cursor: event_log.Cursor, matcher: Matcher, changed: changes.Changes) -> None:
        self._cursor = cursor
        self._matcher = matcher
        self._changed = changed

    @property
    def position(self) -> str:
        """Where the next event is read."""
        return positions.text_of(self._cursor.position)

    async def take(self, timeout_s: float) -> list[Delivered]:
        """
        Return what comes next, or nothing after `timeout_s` seconds; the reader is then behind all of it.

        Raises:
            DatabaseDown.
        """
        until_s = asyncio.get_running_loop().time() + timeout_s
        while True:
            changed = self._changed.next  # taken before the reading, so that no change is missed
            before = self._cursor.position
            found = await self._read()
            if found or self._cursor.position != before:
                return found
            left_s = until_s - asyncio.get_running_loop().time()
            if left_s <= 0 or self._changed.closed or not await changes.within(changed, left_s):
                return []

    async def _read(self) -> list[Delivered]:
        try:
            found, ends = await self._cursor.read(_READ, _READ_BYTES)
        except event_log.Gone as gone:
            await self._cursor.go_to_end()
            return [Delivered(self.position, reset=gone.reason)]

        delivered = []
        for stored in found:
            self._cursor.passed(stored)
            if self._matcher.wants(stored.event):
                delivered.append(Delivered(self.position, stored.event))
        self._cursor.passed_all(ends)
        return delivered


class Streams:
    """
    The handler of `/v1/events`.

    Args:
        readers: makes the readers.
        chosen: the settings.
        on_cut: called when a reader was cut off.
    """

    def __init__(self, readers: EventReaders, chosen: settings.ApiSettings, on_cut: Callable[[], None]) -> None:
        self._readers = readers
        self._settings = chosen
        self._on_cut = on_cut

    def close(self) -> None:
        """End all streams; their readers come back and resume, here or elsewhere."""
        self._readers.close()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Answer with a stream, or once if the query says how long to wait."""
        query = replies.query(request, models.EventsQuery)
        if request.method == "HEAD":  # its answer has no body, so it would never end
            return web.Response(content_type=_SSE)
        with self._readers.counted():
            reader = await self._readers.open(request, query)
            if query.wait is not None:
                return await self._once(request, reader, query)
            if _NDJSON in request.headers.get("Accept", ""):
                return await self._stream(request, reader, _NDJSON, _lines)
            return await self._stream(request, reader, _SSE, _server_sent)

    async def _once(self, request: web.Request, reader: Reader, query: models.EventsQuery) -> web.StreamResponse:
        """Answer with the first events, when there are some or the time is over."""
        until_s = asyncio.get_running_loop().time() + (query.wait or 0.0)
        found: list[Delivered] = []
        while not found and not self._readers.closed:  # what does not match moves the reader only
            before, left_s = reader.position, until_s - asyncio.get_running_loop().time()
            found = await reader.take(max(0.0, left_s))
            if reader.position == before or left_s <= 0:
                break

        await scopes.require_unchanged(request)
        if found and found[0].reset is not None:
            text = f"{found[0].reset}: load /v1/requests, then continue after `position`"
            raise problems.ProblemError(410, "position-gone", text, extra={"position": found[0].position})
        some = found[: query.limit]
        events = [event_json.decoded(one.event) for one in some if one.event is not None]
        end = some[-1].position if len(found) > len(some) else reader.position
        return replies.reply(request, models.EventBatch(items=events, position=end))

    async def _stream(
        self,
        request: web.Request,
        reader: Reader,
        content_type: str,
        written: Callable[[Delivered], bytes],
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": "no-store"})
        await response.prepare(request)
        if content_type == _SSE:
            await self._send(request, response, f"retry: {_RETRY_MS}\n\n".encode())

        async for found in self._deliveries(request, reader):
            chunk = b"".join(map(written, found))
            if not await self._send(request, response, chunk):
                break
        return response

    async def _deliveries(self, request: web.Request, reader: Reader) -> AsyncIterator[list[Delivered]]:
        """Yield what comes, and the position alone where nothing matched or nothing came for a while."""
        loop = asyncio.get_running_loop()
        ask_s = min(_ASK_S, self._settings.heartbeat_s)
        beat_s, asked_s = loop.time() + self._settings.heartbeat_s, loop.time() + ask_s
        while not self._readers.closed:
            if loop.time() >= asked_s:
                if await scopes.has_changed(request):
                    return  # it comes back with what it may now, or learns why not
                asked_s = loop.time() + ask_s
            try:
                found = await reader.take(max(0.0, min(beat_s, asked_s) - loop.time()))
            except database.DatabaseDown as error:
                _log.warning("stream_ended", error=str(error))  # its reader comes back, and gets a 503 then
                return
            if not found and loop.time() < beat_s:
                continue  # nothing matched, as happens all the time on a busy topic, or it is time to ask

            yield found or [Delivered(reader.position)]
            beat_s = loop.time() + self._settings.heartbeat_s

    async def _send(self, request: web.Request, response: web.StreamResponse, chunk: bytes) -> bool:
        """Write; False: the reader is gone, or has been cut off because it does not read."""
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await response.write(chunk)
        except TimeoutError:
            _log.warning("stream_cut_off", remote=request.remote, after_s=self._settings.send_timeout_s)
            self._on_cut()
            if request.transport is not None:
                request.transport.abort()
            return False
        except ConnectionResetError:
            return False
        return True


def _server_sent(one: Delivered) -> bytes:
    """Write a block of a stream of server-sent events. A block with an id alone moves the client's Last-Event-ID."""
    if one.reset is not None:
        body = _reset(one)
        return b"event: reset\nid: %b\ndata: %b\n\n" % (one.position.encode(), body)
    if one.event is None:
        return b": heartbeat\nid: %b\n\n" % one.position.encode()
    return b"id: %b\ndata: %b\n\n" % (one.position.encode(), _on_one_line(one.event))


def _lines(one: Delivered) -> bytes:
    """Write one line of JSON."""
    if one.reset is not None:
        return codec.encode({"position": one.position, "reset": msgspec.Raw(_reset(one))}) + b"\n"
    if one.event is None:
        return codec.encode({"position": one.position}) + b"\n"
    return codec.encode({"position": one.position, "event": msgspec.Raw(_on_one_line(one.event))}) + b"\n"


def _on_one_line(event: str) -> bytes:
    """Return JSON without line ends, which would end a line of either form; foreign producers may indent theirs."""
    if "\n" in event or "\r" in event:
        event = msgspec.json.format(event, indent=-1)
    return event.encode()


def _reset(one: Delivered) -> bytes:
    return codec.encode({"reason": one.reset, "requests": "/v1/requests", "position": one.position})
