"""Writes requests: what several tasks want sent at the same time goes out together, through one producer."""

from __future__ import annotations

import asyncio
from typing import Final

from mrs_relay import errors
from mrs_relay.stream import broker, records, tap

_MOST: Final = 500


class Sender:
    """
    One producer, replaced after an error.

    Args:
        kafka: makes the producers.
    """

    def __init__(self, kafka: tap.Tapped) -> None:
        self._kafka = kafka
        self._producer: broker.Producer | None = None
        self._turn = asyncio.Lock()
        self._waiting: list[tuple[records.Outgoing, asyncio.Future[errors.RelayError | None]]] = []

    async def send(self, record: records.Outgoing) -> None:
        """
        Write one record and wait until all replicas have it.

        Raises:
            StreamError: it may have been written or not.
        """
        told: asyncio.Future[errors.RelayError | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, told))
        async with self._turn:
            if not told.done():
                await self._write()
        if (error := await told) is not None:
            raise error

    async def _write(self) -> None:
        batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        outcome: errors.RelayError | None = errors.StreamDown("sending was interrupted; send the request again")
        try:
            if self._producer is None:
                self._producer = self._kafka.producer(None, idempotent=False)
                await self._producer.start()
            await self._producer.write([record for record, _ in batch])
            outcome = None
        except errors.RelayError as error:
            outcome = error
        finally:
            for _, told in batch:
                told.set_result(outcome)
            if outcome is not None or (self._producer is not None and self._producer.tainted):
                await self.close()

    async def close(self) -> None:
        """Close the producer; the next record gets a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.kill()
