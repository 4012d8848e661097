"""
`RelayClient`: send requests, read the events topic with one consumer and wake the handles.

Neighbours: `sending.py` writes, `reading.py` reads, `register.py` assigns events to requests, and callers wait on a
handle of `handle.py`.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

import structlog

from mrs_relay import errors
from mrs_relay.client import failures, files, handle, reading, register, rows, sending, wording
from mrs_relay.common import tasks
from mrs_relay.kafka import records, settings, topic_io
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.messages import events, requests

_POLL_S: Final = 0.5
_WISHES: Final[frozenset[type[object]]] = frozenset({requests.JobCancel, requests.JobResolve})

log = structlog.get_logger(__name__)


class RelayClient:
    """
    A connection to the relay through Kafka; an async context manager, to be entered once.

    Args:
        kafka: addresses, security and topics, as the relay has them; None: the defaults.
        bootstrap_servers: wins over the settings.
        source: CloudEvents source of all requests; with the id it names a request, so give each service its own.
        broker: replaces Kafka in tests; None: the real one.
        uploads: puts files where jobs find them, such as `obs.uploads.opened(…)`; None: nothing can be uploaded.

    Raises:
        SettingsError: a certificate or key cannot be used.
    """

    def __init__(
        self,
        kafka: settings.KafkaSettings | None = None,
        *,
        bootstrap_servers: str | None = None,
        source: str = "/mrs-relay/client",
        broker: topic_io.TopicClient | None = None,
        uploads: files.Files | None = None,
    ) -> None:
        given = dict(kafka or settings.KafkaSettings())
        if bootstrap_servers is not None:
            given["bootstrap_servers"] = bootstrap_servers
        self._kafka = settings.KafkaSettings.model_validate(given)
        self._source = source
        self._uploads = uploads
        self._broker = broker if broker is not None else kafka_client.KafkaBroker(self._kafka)
        self._sender = sending.Sender(self._broker)
        self._followed = register.Register()
        self._stack = contextlib.AsyncExitStack()
        self._closed: errors.RelayError | None = failures.ClientClosed("the client is not open: use `async with`")

    @property
    def following(self) -> int:
        """The number of followed requests; ended ones are dropped, unless their rows may come late."""
        return len(self._followed)

    async def __aenter__(self) -> Self:
        """
        Connect to Kafka and begin to follow the events topic.

        Raises:
            StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
        """
        async with contextlib.AsyncExitStack() as stack:
            follower = await stack.enter_async_context(reading.Follower(self._broker, self._kafka.topics.events))
            task_supervisor = await stack.enter_async_context(tasks.TaskSupervisor(self._task_failed))
            self._closed = None
            task_supervisor.start(self._read(follower), name="relay client: reader")
            task_supervisor.start(self._sender.run(), name="relay client: sender")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lose(failures.ClientClosed("the client was closed; the request continues, `attach` follows it again"))
        await self._stack.aclose()

    async def upload(self, path: str | pathlib.Path, progress: files.Progress | None = None) -> str:
        """
        Put a file of this machine where jobs find it; returns its path, for the arguments of `job`.

        Nothing of it passes through Kafka. A content that is there already is not sent again.

        Args:
            path: of the file.
            progress: called with the bytes handed over so far, and with those of the whole file.

        Raises:
            BadFile: it cannot be read, is too large, or has a name that jobs cannot take. ObsRefused: final.
            ObsDown: try again. SettingsError: this client has nothing that uploads.
        """
        if self._uploads is None:
            raise errors.SettingsError("this client uploads no files: give RelayClient(uploads=…), see docs/uploads.md")
        return await self._uploads.upload(path, progress)

    async def submit(
        self, request: requests.Work, *, request_id: str | None = None, key: bytes | None = None
    ) -> handle.Handle:
        """
        Send a request; returns when all of Kafka's replicas have it.

        Args:
            request: a model of `messages.requests` that becomes a job, or what `job` and `sql` make.
            request_id: the same id is never run twice, so after an error send again with it; None: a new one.
            key: Kafka key; the same for the same id. None: the cluster's id.

        Raises:
            NotAcknowledged: it may have been written or not; send it again under the `request_id` of the error.
            BadMessage: the id is not usable, this client follows a request of it already, the message is larger than
            `kafka.record_bytes`, or the request is a cancel or the like, which has no events of its own.
            ClientClosed.
        """
        if type(request) in _WISHES:
            text = (
                "only requests that become a job are submitted; `cancel` of the request's handle stops it, see `attach`"
            )
            raise errors.BadMessage("bad_value", text)

        new_id = request_id or wording.new_id()
        value = wording.message(request, self._source, new_id)
        found = handle.Handle(
            self._source,
            new_id,
            key=key or wording.key(request, new_id),
            first=1 if request_id is None else None,
            cancel=self._cancel,
        )

        # Follow first: the events may arrive before Kafka's acknowledgement.
        self._follow(found)
        try:
            await self._send(found, value, again="submit it again with this request_id")
        except BaseException:
            self._followed.drop(found)
            raise
        return found

    async def attach(
        self, request_id: str, *, source: str | None = None, since_ms: int = 0, key: bytes | None = None
    ) -> handle.Handle:
        """
        Follow a request that was sent before, perhaps by another process; returns when its past has been read.

        The id may be unused so far: the handle then waits for its first event.

        Args:
            request_id: its id.
            source: its source; None: that of this client.
            since_ms: read the events topic from this time on, epoch milliseconds; 0: all that the topic still holds.
            key: Kafka key of the request, for `cancel`; None: its id (the relay passes such a cancel on).

        Raises:
            StreamDown: Kafka cannot be reached. BatchUnreadable: the past cannot be read; choose `since_ms` behind it.
            BadMessage: this client follows it already. ClientClosed.
        """
        found = handle.Handle(
            source or self._source,
            request_id,
            key=key or request_id.encode(),
            attached=True,
            cancel=self._cancel,
        )

        self._follow(found)
        try:
            all_events = topic_io.read_all(self._broker, self._kafka.topics.events, topic_io.Start(since_ms))
            past = [data async for record in all_events if (data := register.event_of(found, record)) is not None]
        except BaseException:
            self._followed.drop(found)
            raise

        found.release(past)
        if not found.is_followed:
            self._followed.drop(found)
        return found

    def _follow(self, one: handle.Handle) -> None:
        one.fetch = self._fetch
        if self._closed is not None:
            raise failures.ClientClosed(str(self._closed)) from self._closed
        self._followed.add(one)

    def _fetch(self, data: events.EventData) -> AsyncIterator[bytes]:
        return rows.fetched(self._broker, data)

    async def _cancel(self, target: handle.Handle) -> None:
        if target.ended:
            return
        if self._closed is not None:
            raise failures.ClientClosed(str(self._closed)) from self._closed
        cancel = requests.JobCancel(request=requests.Target(id=target.id, source=target.source))
        value = wording.message(cancel, self._source, wording.new_id())
        await self._send(target, value, again="cancel again, which does no harm")

    async def _send(self, one: handle.Handle, value: bytes, *, again: str) -> None:
        size_bytes = records.size_bytes(one.key, value, wording.HEADERS)
        if size_bytes > self._kafka.record_bytes:
            text = f"request {one.id!r} takes {size_bytes} bytes; kafka.record_bytes allows {self._kafka.record_bytes}"
            raise errors.BadMessage("too_large", text)
        try:
            await self._sender.send(records.Outgoing(self._kafka.topics.requests, one.key, value, wording.HEADERS))
        except errors.StreamError as error:
            raise failures.NotAcknowledged(one.id, error, again) from error

    async def _read(self, follower: reading.Follower) -> None:
        while True:
            for record in await follower.take(_POLL_S):
                self._followed.take(record)

    def _task_failed(self, name: str, error: BaseException) -> None:
        log.error("relay_client_failed", task=name, exc_info=error)
        self._lose(failures.ClientClosed(f"the client's {name} failed ({type(error).__name__}); open a new client"))

    def _lose(self, error: errors.RelayError) -> None:
        self._closed = self._closed or error
        for one in self._followed:
            one.lose(error)
        self._followed.clear()
