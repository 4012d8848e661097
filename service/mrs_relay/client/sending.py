"""
Write requests: one task and one producer for all callers; records that wait at the same time are sent together.

The task belongs to `relay.RelayClient`. A caller that stops waiting does not affect the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from mrs_relay import errors
from mrs_relay.kafka import broker, records, topic_io

_SEND_S: Final = 30.0
_MOST: Final = 500
"""Records written at once; more in one request would delay the records behind them."""

_CLOSED: Final = "the client was closed before the message was written"

_Letter = tuple[records.Outgoing, "asyncio.Future[None]"]


class Sender:
    """
    One producer, replaced after an error.

    Args:
        kafka: makes the producers.
    """

    def __init__(self, kafka: topic_io.TopicClient) -> None:
        self._kafka = kafka
        self._producer: broker.Producer | None = None
        self._waiting: list[_Letter] = []
        self._wanted = asyncio.Event()
        self._ended = False

    @property
    def waiting(self) -> int:
        """Number of records that wait behind those being written."""
        return len(self._waiting)

    async def send(self, record: records.Outgoing) -> None:
        """
        Write one record and wait until all replicas have it.

        A caller that is cancelled while waiting cannot know whether the record was written.

        Raises:
            StreamError: it may have been written or not.
        """
        if self._ended:
            raise errors.StreamDown(_CLOSED)
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, acknowledged))
        self._wanted.set()
        await acknowledged

    async def send_all(self, outgoing: Sequence[records.Outgoing]) -> None:
        """Write records, one after the other; see `send`. Waits `_SEND_S` seconds at most. Raises TimeoutError, too."""
        async with asyncio.timeout(_SEND_S):
            for record in outgoing:
                await self.send(record)

    async def run(self) -> None:
        """Write waiting records until cancelled; then fail the remaining ones as not written."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while batch := self._next():
                    await self._write(batch)
        finally:
            self._ended = True
            _fail(self._waiting, errors.StreamDown(_CLOSED))
            await self._give_up()

    def _next(self) -> list[_Letter]:
        """Take the next records whose senders still wait."""
        batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        left = [(record, acknowledged) for record, acknowledged in batch if not acknowledged.done()]
        return left if left or not self._waiting else self._next()

    async def _write(self, batch: list[_Letter]) -> None:
        try:
            producer = await self._started()
            await producer.write([record for record, _ in batch])
        except errors.RelayError as error:
            _fail(batch, error)
            await self._give_up()
        except BaseException:
            _fail(batch, errors.StreamDown("the client was closed while the message was being written"))
            raise
        else:
            for _, acknowledged in batch:
                if not acknowledged.done():
                    acknowledged.set_result(None)

    async def _started(self) -> broker.Producer:
        if self._producer is not None and self._producer.tainted:
            await self._give_up()
        if self._producer is None:
            fresh = self._kafka.producer(None, idempotent=False)
            await fresh.start()
            self._producer = fresh
        return self._producer

    async def _give_up(self) -> None:
        """Close the producer; the next record gets a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.kill()


def _fail(letters: list[_Letter], error: errors.RelayError) -> None:
    for _, acknowledged in letters:
        if not acknowledged.done():
            acknowledged.set_exception(error)
