"""The handle of one followed request: `relay.RelayClient` passes its events in, the caller waits on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

from mrs_relay import errors
from mrs_relay.client import failures
from mrs_relay.client import rows as results
from mrs_relay.messages import event_reader
from mrs_relay.messages import events as message_events

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]  # ships no types
    import pyarrow as pa  # type: ignore[import-untyped]  # the same

_CONFLICT: Final = "conflict"
_UNLIMITED: Final = contextlib.nullcontext()
"""One context for all waits without a limit: thousands of handles may share it."""


class Handle:
    """
    A request that was sent, or attached to.

    Any number of tasks may wait on it. It keeps its events, so each `events()` begins at the first.

    Args:
        source: with `request_id` the request's name.
        request_id: see `source`.
        key: Kafka key of the request.
        cancel: sends the cancel message.
        first: the sequence that its first event must have; None where other messages may have used the id before.
        attached: the request was sent before, and its past is read first; `release` ends that phase.

    Attributes:
        source: see above.
        id: the request's id.
        key: see above.
        fetch: for the client: yields the chunks that an event names.
    """

    __slots__ = (
        "_answered",
        "_cancel",
        "_first",
        "_held",
        "_last",
        "_lost",
        "_rows",
        "_seen",
        "_sequence",
        "_state",
        "_waiters",
        "fetch",
        "id",
        "key",
        "source",
    )

    def __init__(
        self,
        source: str,
        request_id: str,
        *,
        key: bytes,
        cancel: Callable[[Handle], Awaitable[None]],
        first: int | None = None,
        attached: bool = False,
    ) -> None:
        self.source = source
        self.id = request_id
        self.key = key
        self._first = first
        self._cancel = cancel
        self.fetch: results.Fetch = _nothing
        self._held: list[message_events.EventData] | None = [] if attached else None
        self._seen: list[bytes] = []
        self._sequence = 0
        self._state = "no event yet"
        self._answered = attached
        self._last: message_events.EventData | None = None
        self._rows: message_events.EventData | None = None
        self._lost: errors.RelayError | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Handle {self.id!r} of {self.source!r}: {self._state}>"

    @property
    def ended(self) -> bool:
        """Whether the last event has arrived; rows may still come late, see `full_result`."""
        return self._last is not None

    @property
    def is_followed(self) -> bool:
        """Whether the client still passes events in: until the last one, or until rows that come late are here."""
        return self._last is None or self._rows is None

    async def accepted(self, timeout_s: float | None = None) -> message_events.EventData:
        """
        Wait for the first event and return its data.

        Raises:
            RequestRejected: the relay will not carry it out. TimeoutError: no event within `timeout_s` seconds.
            ClientClosed: the client was closed before.
        """
        async with _limit(timeout_s):
            while not self._seen:
                await self._news()

        first = self._event(self._seen[0])
        if self._last is not None and self._last.state == "rejected" and first.sequence == self._last.sequence:
            raise failures.RequestRejected(first)
        return first

    async def result(self, timeout_s: float | None = None) -> message_events.EventData:
        """
        Wait for the end and return the data of `succeeded`; missing events in between do not matter.

        After TimeoutError (`timeout_s` seconds passed) the request continues, and the caller may wait again.

        Raises:
            RequestFailed, RequestRejected, RequestCancelled, RequestUnknown: how else it ended. ClientClosed:
            the client was closed before. TimeoutError: see above.
        """
        async with _limit(timeout_s):
            while (last := self._last) is None:
                await self._news()

        if (error := failures.BY_STATE.get(last.state)) is not None:
            raise error(last)
        return last

    async def full_result(self, timeout_s: float | None = None) -> message_events.EventData:
        """
        Wait for the end, and for rows that come after it; like `result` where there are none.

        Returns the data of `succeeded`, or that of `mrs.sql.result`, which brings the rows that `succeeded` had to come
        without, or says why there are none for good (`result.unavailable`).

        Raises:
            RequestFailed and so on, ClientClosed, TimeoutError: as `result` does.
        """
        async with _limit(timeout_s):
            last = await self.result()
            while (late := self._rows) is None:
                await self._news()
        return late if late.sequence > last.sequence else last

    async def rows(self, timeout_s: float | None = None) -> AsyncIterator[results.Row]:
        """
        Yield the rows of the result, from its event or from the results topic: lists of text, of Spark objects.

        Rows that were asked for as Arrow are lists of values with types. Memory holds one chunk. `timeout_s` is for the
        wait for the result, see `full_result`.

        Raises:
            RowsMissing: there are none, or not all of them; rows that came before are right, and an incomplete
            beginning. RequestFailed and so on, ClientClosed, TimeoutError: as `result` does. StreamDown, SettingsError:
            the results topic cannot be read. ImportError: the rows are Arrow, and pyarrow is not installed.
        """
        data = await self.full_result(timeout_s)
        async for row in results.of(data, self.fetch):
            yield row

    async def to_arrow(self, timeout_s: float | None = None) -> pa.Table:
        """
        Return the rows as an Arrow table, with text in all columns of Presto and of chunks of CSV (extra `arrow`).

        Raises:
            RowsMissing and so on: as `rows` does. ImportError: pyarrow is not installed.
        """
        return await results.as_arrow(await self.full_result(timeout_s), self.fetch)

    async def to_pandas(self, timeout_s: float | None = None) -> pd.DataFrame:
        """
        Return the rows as a pandas frame (extra `arrow`).

        Raises:
            RowsMissing and so on: as `rows` does. ImportError: pyarrow or pandas is not installed.
        """
        return (await self.to_arrow(timeout_s)).to_pandas()

    async def events(self, after: int | None = None) -> AsyncIterator[message_events.EventData]:
        """
        Yield every event's data once, in the order of `sequence`, the last one included.

        Args:
            after: begin behind this sequence; None: at the first event known.

        Raises:
            EventsMissing: at a gap. ClientClosed: the client was closed before the last event.
        """
        index, before = 0, after if after is not None or self._first is None else self._first - 1
        while True:
            while index < len(self._seen):
                data = self._event(self._seen[index])
                index += 1
                if after is not None and data.sequence <= after:
                    continue
                if before is not None and data.sequence != before + 1:
                    raise failures.EventsMissing(self.id, before, data.sequence)
                before = data.sequence
                yield data

            if self._last is not None:
                return
            await self._news()

    async def cancel(self) -> None:
        """
        Ask the relay to stop the request; returns when Kafka has the message.

        `result` reports the end: `RequestCancelled`, or the job's own verdict if that came first.

        Raises:
            StreamError: the message may not have been written; cancelling again does no harm. ClientClosed.
        """
        await self._cancel(self)

    def take(self, data: message_events.EventData) -> None:
        """Record one event, for the client; repeats and events after the end are dropped."""
        if self._held is not None:
            self._held.append(data)
            return
        if self._last is not None:
            self._take_rows(data)
            return
        if data.sequence <= self._sequence:
            return

        # NB: a conflict after the answer to our own message concerns another sender, whose payload differs.
        idle = self._answered and data.reason is not None and data.reason.kind == _CONFLICT

        self._answered = self._answered or data.sequence == 1 or data.repeated
        self._sequence, self._state = data.sequence, data.state
        self._seen.append(_kept(data))
        if data.state in message_events.LAST and not idle:
            self._last = data
            self._rows = None if data.result is not None and data.result.late_until is not None else data
        self._wake()

    def _take_rows(self, data: message_events.EventData) -> None:
        """Record rows that come late, or their address alone; an answer to another message says that they come."""
        result = data.result
        if self._rows is None and data.repeated and result is not None and result.late_until is None:
            self._rows = data
            self._wake()

    def release(self, past: Sequence[message_events.EventData]) -> None:
        """Add the past that was read, for the client; the events that arrived meanwhile follow it."""
        held, self._held = self._held or [], None
        for data in [*past, *held]:
            self.take(data)

    def lose(self, error: errors.RelayError) -> None:
        """Record, for the client, that no more events will arrive."""
        if self.is_followed:
            self._lost = error
            self._wake()

    def _event(self, kept: bytes) -> message_events.EventData:
        whose = message_events.RequestRef(id=self.id, source=self.source).model_dump_json().encode()
        return event_reader.data_of(b'{"request":' + whose + b"," + kept[1:])

    async def _news(self) -> None:
        """Wait for a change; each waiter has its own future, so that a cancelled waiter does not affect the others."""
        if self._lost is not None:
            raise failures.ClientClosed(str(self._lost)) from self._lost

        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _nothing(_data: message_events.EventData) -> AsyncIterator[bytes]:
    raise failures.RowsMissing("this handle has no client to read the results topic with")


def _limit(timeout_s: float | None) -> AbstractAsyncContextManager[object]:
    return _UNLIMITED if timeout_s is None else asyncio.timeout(timeout_s)


def _kept(data: message_events.EventData) -> bytes:
    """Encode an event for keeping: JSON takes a fifth of the memory, and the garbage collector does not track it."""
    return data.__pydantic_serializer__.to_json(data, exclude={"request"}, exclude_defaults=True, by_alias=True)
