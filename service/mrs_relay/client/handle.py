"""One request being followed: `relay.RelayClient` feeds its events in, the caller waits here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from mrs_relay import errors
from mrs_relay.client import failures
from mrs_relay.messages import events as told

_CONFLICT: Final = "conflict"


class Handle:
    """
    A request that was sent, or attached to.

    Any number of tasks may wait on it. It keeps its events, so each `events()` begins at the first.

    Args:
        source: with `request_id` the request's name.
        request_id: see `source`.
        first: the sequence that its first event must have; None where other messages may have used the id before.
        attached: somebody else sent it, and its past is read first: `release` ends that.
        cancel: sends the cancel message.
    """

    def __init__(
        self,
        source: str,
        request_id: str,
        *,
        cancel: Callable[[Handle], Awaitable[None]],
        first: int | None = None,
        attached: bool = False,
    ) -> None:
        self.source = source
        self.id = request_id
        self._first = first
        self._cancel = cancel
        self._attached = attached
        self._held: list[told.EventData] | None = [] if attached else None
        self._seen: list[told.EventData] = []
        self._last: told.EventData | None = None
        self._lost: errors.RelayError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Handle {self.id!r} of {self.source!r}: {self._seen[-1].state if self._seen else 'no event yet'}>"

    @property
    def ended(self) -> bool:
        """The last event came; the client has forgotten the handle."""
        return self._last is not None

    async def accepted(self, timeout_s: float | None = None) -> told.EventData:
        """
        Wait for the first event and return its data.

        Raises:
            RequestRejected: the relay will not carry it out. TimeoutError: no event within `timeout_s` seconds.
            ClientClosed: the client was closed before.
        """
        async with asyncio.timeout(timeout_s):
            while not self._seen:
                await self._news()
        if self._seen[0].state == "rejected" and self._seen[0] is self._last:
            raise failures.RequestRejected(self._seen[0])
        return self._seen[0]

    async def result(self, timeout_s: float | None = None) -> told.EventData:
        """
        Wait for the end and return the data of `succeeded`; missing events in between do not matter.

        After TimeoutError (`timeout_s` seconds passed) the request goes on, and so may the caller.

        Raises:
            RequestFailed, RequestRejected, RequestCancelled, RequestUnknown: how else it ended. ClientClosed:
            the client was closed before. TimeoutError: see above.
        """
        async with asyncio.timeout(timeout_s):
            while self._last is None:
                await self._news()
        if (error := failures.BY_STATE.get(self._last.state)) is not None:
            raise error(self._last)
        return self._last

    async def events(self, after: int | None = None) -> AsyncIterator[told.EventData]:
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
                data = self._seen[index]
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

        The end is told by `result`: `RequestCancelled`, or the job's own verdict if that came first.

        Raises:
            StreamError: the message may not have been written; cancelling again does no harm. ClientClosed.
        """
        await self._cancel(self)

    def take(self, data: told.EventData) -> None:
        """For the client: note one event; repeats and what follows the end are dropped."""
        if self._held is not None:
            self._held.append(data)
            return
        if self._last is not None or (self._seen and data.sequence <= self._seen[-1].sequence):
            return
        first = not self._seen and not self._attached
        self._seen.append(data)
        # NB: a conflict tells of another message under this id; only as the first word to a sender it is meant for it.
        idle = data.reason is not None and data.reason.kind == _CONFLICT and not first
        if data.state in told.LAST and not idle:
            self._last = data
        self._wake()

    def release(self, past: Sequence[told.EventData]) -> None:
        """For the client: the past has been read; what came meanwhile follows it."""
        held, self._held = self._held or [], None
        for data in [*past, *held]:
            self.take(data)

    def lose(self, error: errors.RelayError) -> None:
        """For the client: no event will come any more."""
        if self._last is None:
            self._lost = error
            self._wake()

    async def _news(self) -> None:
        if self._lost is not None:
            raise failures.ClientClosed(str(self._lost)) from self._lost
        if self._waiter is None:
            self._waiter = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._waiter])

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.set_result(None)
            self._waiter = None
