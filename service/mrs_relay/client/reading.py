"""
Follow the events topic for as long as the client is open, through every failure of Kafka.

The consumer has no group: it is at the ends of all partitions before the first request is sent, so no event is missed
and nothing rebalances. A silent connection is replaced; the new one continues behind the last record read. A topic that
got more partitions is reopened likewise, and its new partitions are read from their beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import structlog

from mrs_relay import errors
from mrs_relay.kafka import broker, records, topic_io

SILENT_S: Final = 30.0
"""
Seconds without an answer from a partition's broker after which the connection is replaced; a healthy one answers
several times a second, news or not. Source: aiokafka 0.14, whose consumer can stay stuck after brokers restart
(its issues 625, 847 and 1154), and which never asks the bootstrap addresses again.
"""

_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


class Follower:
    """
    A reader of the events topic; an async context manager, entered once.

    Args:
        kafka: opens the topic.
        topic: name of the events topic.
        start: where to begin.

    Attributes:
        problem: why the last attempt to read failed, for people; None: it did not.
    """

    def __init__(self, kafka: topic_io.TopicClient, topic: str, start: topic_io.Start = topic_io.NOW) -> None:
        self._kafka = kafka
        self._topic = topic
        self._start = start
        self.problem: str | None = None
        self._stack = contextlib.AsyncExitStack()
        self._tail: topic_io.Tail | None = None
        self._places: Mapping[int, int] = {}
        self._answers: dict[int, tuple[int | None, float]] = {}

    async def __aenter__(self) -> Self:
        """
        Open the topic at the start, without one at the ends of its partitions.

        Raises:
            StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
        """
        await self._open(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def take(self, timeout_s: float) -> Sequence[records.Record]:
        """Return the next records, or none after about `timeout_s` seconds; errors are logged and retried."""
        try:
            if self._tail is None:
                await self._open(topic_io.Start(at=self._places))
            found = await self._take(timeout_s)
        except broker.BatchUnreadable as error:
            await self._pass_over(error)
            return ()
        except (errors.StreamDown, errors.SettingsError) as error:  # a missing topic may reappear, too
            self.problem = str(error)
            log.warning("relay_client_delayed", topic=self._topic, error=self.problem)
            await asyncio.sleep(_AGAIN_S)
            return ()
        self.problem = None
        return found

    async def behind(self) -> int | None:
        """Count the offsets between our places and the known ends of the partitions; None: not known now."""
        return None if self._tail is None else await self._tail.behind()

    async def positions(self) -> Mapping[int, int]:
        """Return the offsets behind all that has been taken, transaction markers included; none: not known now."""
        return {} if self._tail is None else await self._tail.positions()

    async def _take(self, timeout_s: float) -> Sequence[records.Record]:
        if self._tail is None:
            return ()
        found = await self._tail.take(timeout_s)
        self._places = self._tail.places
        if why := self._outdated(self._tail):
            log.info("relay_client_reconnected", topic=self._topic, reason=why)
            await self._close()
        return found

    async def _pass_over(self, error: broker.BatchUnreadable) -> None:
        """Continue behind unreadable events: a handle reports them as missing, like events that have left the topic."""
        log.error(
            "relay_client_record_skipped", topic=self._topic, partition=error.position.partition, error=str(error)
        )
        await self._close()
        self._places = {**self._places, error.position.partition: error.next_offset}

    def _outdated(self, tail: topic_io.Tail) -> str | None:
        """Return the reason to replace this connection, if there is one."""
        if tail.grown:
            return "more partitions"

        now_s = asyncio.get_running_loop().time()
        for partition, answer in tail.answers().items():
            before = self._answers.get(partition)
            if before is None or before[0] != answer:
                self._answers[partition] = (answer, now_s)
            elif now_s - before[1] > SILENT_S:
                return "no answer"
        return None

    async def _open(self, start: topic_io.Start) -> None:
        self._tail = await self._stack.enter_async_context(topic_io.tail(self._kafka, self._topic, start))
        self._places = self._tail.places
        self._answers.clear()

    async def _close(self) -> None:
        self._tail = None
        await self._stack.aclose()
