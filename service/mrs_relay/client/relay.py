"""
`RelayClient`: sends requests, reads the events topic with one consumer and wakes the handles.

The consumer has no group: it stands at the ends of all partitions before the first request can be sent, so no event
is missed and nothing rebalances. Neighbours: `sending.py` writes, `handle.py` is what callers wait on.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

import structlog

from mrs_relay import errors
from mrs_relay.client import failures, handle, sending, wording
from mrs_relay.kit import tasks
from mrs_relay.messages import events, requests
from mrs_relay.stream import client as door
from mrs_relay.stream import records, settings, tap

_POLL_S: Final = 0.5
_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


class RelayClient:
    """
    A connection to the relay by way of Kafka; an async context manager, to be entered once.

    Args:
        kafka: addresses, security and topics, as the relay has them; None: the defaults.
        bootstrap_servers: wins over the settings.
        source: CloudEvents source of all requests; with the id it names a request, so give each service its own.
        broker: what plays Kafka in tests; None: the real one.
    """

    def __init__(
        self,
        kafka: settings.KafkaSettings | None = None,
        *,
        bootstrap_servers: str | None = None,
        source: str = "/mrs-relay/client",
        broker: tap.Tapped | None = None,
    ) -> None:
        given = dict(kafka or settings.KafkaSettings())
        if bootstrap_servers is not None:
            given["bootstrap_servers"] = bootstrap_servers
        self._kafka = settings.KafkaSettings.model_validate(given)
        self._source = source
        self._broker = broker if broker is not None else door.KafkaBroker(self._kafka)
        self._sender = sending.Sender(self._broker)
        self._handles: dict[tuple[str, str], handle.Handle] = {}
        self._keys: dict[tuple[str, str], bytes] = {}
        self._stack = contextlib.AsyncExitStack()
        self._closed: errors.RelayError | None = failures.ClientClosed("the client is not open: use `async with`")

    def __len__(self) -> int:
        """How many requests are followed; those that ended are forgotten."""
        return len(self._handles)

    async def __aenter__(self) -> Self:
        """Connect. Raises StreamDown: Kafka cannot be reached. SettingsError: there is no such topic."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._sender.close)
            tail = await stack.enter_async_context(tap.tail(self._broker, self._kafka.topics.events, tap.NOW))
            crew = await stack.enter_async_context(tasks.Crew(self._reader_failed))
            self._closed = None
            crew.start(self._read(tail), name="relay client")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lose(failures.ClientClosed("the client was closed; the request goes on, `attach` follows it again"))
        await self._stack.aclose()

    async def submit(
        self, request: requests.Request, *, request_id: str | None = None, key: bytes | None = None
    ) -> handle.Handle:
        """
        Send a request; returns when all of Kafka's replicas have it.

        Args:
            request: a model of `messages.requests`, or what `job` and `sql` make.
            request_id: the same id is never run twice, so after an error send again with it; None: a new one.
            key: Kafka key; the same for the same id. None: the cluster's id.

        Raises:
            StreamError: it may have been written or not; send it again under the same `request_id`.
            BadMessage: the id is not usable, or this client follows a request of it already. ClientClosed.
        """
        name = (self._source, request_id or wording.new_id())
        value = wording.message(request, *name)
        key = key or wording.key(request, name[1])
        found = self._follow(name, key, first=1 if request_id is None else None)
        try:
            await self._sender.send(records.Outgoing(self._kafka.topics.requests, key, value, wording.HEADERS))
        except BaseException:
            self._forget(name)
            raise
        return found

    async def attach(
        self, request_id: str, *, source: str | None = None, since_ms: int = 0, key: bytes | None = None
    ) -> handle.Handle:
        """
        Follow a request that was sent before, perhaps by another process; returns when its past has been read.

        Args:
            request_id: its id.
            source: its source; None: that of this client.
            since_ms: read the events topic from this time on, epoch milliseconds; 0: all that the topic still holds.
            key: Kafka key of the request, for `cancel`; None: its id (the relay passes such a cancel on).

        Raises:
            StreamDown: Kafka cannot be reached. BadMessage: this client follows it already. ClientClosed.
        """
        name = (source or self._source, request_id)
        found = self._follow(name, key or request_id.encode(), attached=True)
        try:
            told = tap.read_all(self._broker, self._kafka.topics.events, tap.Start(since_ms))
            past = [data async for record in told if (data := _data(record)) is not None and _name(data) == name]
        except BaseException:
            self._forget(name)
            raise
        found.release(past)
        if found.ended:
            self._forget(name)
        return found

    def _follow(
        self, name: tuple[str, str], key: bytes, *, first: int | None = None, attached: bool = False
    ) -> handle.Handle:
        if self._closed is not None:
            raise failures.ClientClosed(str(self._closed)) from self._closed
        if name in self._handles:
            raise errors.BadMessage("bad_id", f"request {name[1]!r} is followed already: use the handle it has")
        self._keys[name] = key
        self._handles[name] = handle.Handle(*name, cancel=self._cancel, first=first, attached=attached)
        return self._handles[name]

    def _forget(self, name: tuple[str, str]) -> None:
        self._handles.pop(name, None)
        self._keys.pop(name, None)

    async def _cancel(self, target: handle.Handle) -> None:
        if self._closed is not None:
            raise failures.ClientClosed(str(self._closed)) from self._closed
        name = (target.source, target.id)
        if name not in self._keys:
            return  # it has ended
        wish = requests.JobCancel(request=requests.Target(id=target.id, source=target.source))
        value = wording.message(wish, self._source, wording.new_id())
        topic = self._kafka.topics.requests
        await self._sender.send(records.Outgoing(topic, self._keys[name], value, wording.HEADERS))

    async def _read(self, tail: tap.Tail) -> None:
        while True:
            try:
                found = await tail.take(_POLL_S)
            except errors.StreamDown as error:
                log.warning("relay_client_waits", error=str(error))
                await asyncio.sleep(_AGAIN_S)
                continue
            for record in found:
                self._take(record)

    def _take(self, record: records.Record) -> None:
        if not self._handles or (data := _data(record)) is None:
            return
        name = _name(data)
        if (found := self._handles.get(name)) is not None:
            found.take(data)
            if found.ended:
                self._forget(name)

    def _reader_failed(self, _name: str, error: BaseException) -> None:
        log.error("relay_client_failed", error=repr(error))
        self._lose(failures.ClientClosed(f"reading events failed ({type(error).__name__}); open a new client"))

    def _lose(self, error: errors.RelayError) -> None:
        self._closed = self._closed or error
        for found in self._handles.values():
            found.lose(error)
        self._handles.clear()
        self._keys.clear()


def _name(data: events.EventData) -> tuple[str, str]:
    return data.request.source, data.request.id


def _data(record: records.Record) -> events.EventData | None:
    """What an event says; None for a record that is none."""
    if record.value is None:
        return None
    try:
        return events.read(record.value, record.headers).data
    except ValueError:
        return None
