"""
Publish this process's status: once a second what has changed, by a producer of its own, beside all transactions.

It is for people, so nothing waits for it and nothing depends on it. A topic that is missing, or Kafka that takes no
writes, is logged once and tried again. Each record is written again from time to time, so that a reader knows a live
one from what a process has left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, clock
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records
from mrs_relay.messages import status

EVERY_S: Final = 1.0
"""Seconds between two looks at what has changed."""

_SLICE: Final = 50
"""Contents that are described and compared at once: about three milliseconds."""

_CLOSE_S: Final = 1.0
_AGAIN: Final = backoff.Backoff(first_s=5.0, most_s=60.0)

log = structlog.get_logger(__name__)


def failed(_task: str, error: BaseException) -> None:
    """Log that a bug has ended the publishing."""
    log.error("status_publisher_ended", exc_info=error)


Described = tuple[str, status.Content]
"""A key and its content."""

_Written = dict[str, tuple[bytes, float]]
"""Key -> the content as it was written, and when."""


class StatusPublisher:
    """
    Publish contents by key; to be run once.

    Args:
        broker: makes the producer.
        topic: to publish on.
        replica: name of this process, unlike that of any other.
        time: the clock.
        read: yields the present contents by key, each as it is when it is asked for; quick, and never raises.
    """

    def __init__(
        self,
        broker: brokers.Broker,
        topic: str,
        replica: str,
        time: clock.Clock,
        read: Callable[[], Iterable[Described]],
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._replica = replica
        self._time = time
        self._read = read
        self._epoch_ms = time.now_ms()
        self._producer: brokers.Producer | None = None
        self._written: _Written = {}
        self._failures = 0

    async def run(self) -> None:
        """Publish until cancelled; then remove this process's own records."""
        try:
            while True:
                try:
                    await self._publish()
                    wait_s = EVERY_S
                except errors.RelayError as error:
                    wait_s = await self._failed(error)
                await asyncio.sleep(wait_s)
        finally:
            await self._close()

    async def _publish(self) -> None:
        producer = await self._started()
        outgoing: list[records.Outgoing] = []
        written: _Written = {}
        present = iter(self._read())
        while self._compare(present, outgoing, written):  # noqa: ASYNC110 - the loop does other work between slices
            await asyncio.sleep(0)

        # A partition's next owner may have written its key already: only records of our own are removed.
        gone = [key for key in self._written if key not in written and not status.is_shared(key)]
        outgoing += [self._record(key, None) for key in gone]
        if outgoing:
            await producer.write(outgoing)
            self._written = written
        if self._failures:
            self._failures = 0
            log.info("status_published_again", topic=self._topic)

    def _compare(self, present: Iterator[Described], outgoing: list[records.Outgoing], written: _Written) -> bool:
        """Compare some more contents with what is written; returns whether there were any."""
        now_s, now_ms = self._time.monotonic_s(), self._time.now_ms()
        several = list(itertools.islice(present, _SLICE))
        for key, content in several:
            made = status.encode_content(content)
            before, at_s = self._written.get(key, (b"", 0.0))
            if made == before and now_s - at_s < status.AGAIN_S:
                written[key] = before, at_s
                continue
            written[key] = made, now_s
            value = status.encode(made, at_ms=now_ms, replica=self._replica, epoch_ms=self._epoch_ms)
            outgoing.append(self._record(key, value))
        return bool(several)

    def _record(self, key: str, value: bytes | None) -> records.Outgoing:
        return records.Outgoing(self._topic, key.encode(), value)

    async def _started(self) -> brokers.Producer:
        if self._producer is not None and self._producer.tainted:
            await self._give_up()
        if self._producer is None:
            # A producer would create a missing topic where Kafka allows that, with its own defaults.
            async with self._broker.admin() as admin:
                if self._topic not in await admin.partition_counts():
                    raise errors.StreamDown(
                        f"topic {self._topic} (kafka.topics.status) is missing; `mrs-relay topics create` makes it"
                    )
            fresh = self._broker.producer(None, idempotent=False)
            await fresh.start()
            self._producer = fresh
        return self._producer

    async def _failed(self, error: errors.RelayError) -> float:
        """Log the first failure in a row; returns the seconds until the next try."""
        if not self._failures:
            log.warning("status_not_published", topic=self._topic, error=str(error))
        self._failures += 1
        self._written.clear()  # what Kafka has is not known
        await self._give_up()
        return _AGAIN.delay_s(self._failures)

    async def _close(self) -> None:
        producer, own = self._producer, [key for key in self._written if not status.is_shared(key)]
        with contextlib.suppress(errors.RelayError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                if producer is not None and own:
                    await producer.write([self._record(key, None) for key in own])
        await self._give_up()

    async def _give_up(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.kill()
