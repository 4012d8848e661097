"""
How long requests wait in the kill loop: from the producer's acknowledgement to the event `accepted`, as it is read.

`Tail` reads a deployment's events with read_committed all the time and notes when each came; the rest is arithmetic.
The consumer's own way to a new leader is part of the figures: a subscriber waits for it as well.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiokafka
from aiokafka import errors as kafka_errors
from tests.support import history, service

_POLL_MS = 200
_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Summary:
    """Delays in seconds."""

    count: int
    p50_s: float
    p99_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class Interval:
    """When a trouble of some kind began and ended, on the monotonic clock."""

    kind: str
    began_s: float
    ended_s: float


@dataclass(eq=False)
class Tail:
    """
    Follows the events of a deployment until it is cancelled, over any trouble of the brokers.

    Attributes:
        accepted: request id -> when its event `accepted` was read, on the monotonic clock.
        times_s: when events were read, one entry for each poll that brought some, in order.
    """

    here: service.Deployment
    accepted: dict[str, float] = field(default_factory=dict)
    times_s: list[float] = field(default_factory=list)
    _next: dict[Any, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Read on and on."""
        while True:
            with contextlib.suppress(kafka_errors.KafkaError, TimeoutError, OSError):
                await self._follow()
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        consumer: aiokafka.AIOKafkaConsumer[bytes, bytes] = aiokafka.AIOKafkaConsumer(
            self.here.events,
            bootstrap_servers=self.here.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            request_timeout_ms=2_000,
            metadata_max_age_ms=1_000,
            fetch_max_wait_ms=100,
        )

        try:
            await consumer.start()
            for part in consumer.assignment():
                consumer.seek(part, self._next.get(part, 0))
            while True:
                self._take(await consumer.getmany(timeout_ms=_POLL_MS))
        finally:
            await consumer.stop()

    def _take(self, batches: dict[Any, list[Any]]) -> None:
        now_s = time.monotonic()
        for part, records in batches.items():
            for record in records:
                self._next[part] = record.offset + 1
                seen = history.seen(record.headers, record.value)
                if seen.state == "accepted":
                    self.accepted.setdefault(seen.request_id, now_s)
        if any(batches.values()):
            self.times_s.append(now_s)


@dataclass(frozen=True, slots=True)
class Waits:
    """
    What a deployment's requests waited for.

    Attributes:
        spans: for each request, when it was acknowledged and when its `accepted` was read.
        times_s: when any event was read, in order.
    """

    spans: Sequence[tuple[float, float]]
    times_s: Sequence[float]

    def all(self) -> Summary:
        """Return all delays."""
        return summary(end - begin for begin, end in self.spans)

    def during(self, troubles: Sequence[Interval]) -> Summary:
        """Return the delays of requests that waited while one of the troubles lasted."""
        return summary(
            end - begin
            for begin, end in self.spans
            if any(begin <= trouble.ended_s and end >= trouble.began_s for trouble in troubles)
        )

    def longest_stall_s(self) -> float:
        """Return the longest time without any event while an acknowledged request waited."""
        return max((self._stall_s(begin, end) for begin, end in self.spans), default=0.0)

    def _stall_s(self, begin_s: float, end_s: float) -> float:
        """Return the longest time without any event between two moments."""
        first = bisect.bisect_right(self.times_s, begin_s)
        last = bisect.bisect_left(self.times_s, end_s)
        marks = [begin_s, *self.times_s[first:last], end_s]
        return max(after - before for before, after in itertools.pairwise(marks))


def waits(acknowledged: dict[str, float], tail: Tail) -> Waits:
    """Join what was acknowledged with what was read; an event read before its acknowledgement waited for nothing."""
    spans = [
        (began_s, max(began_s, tail.accepted[request_id]))
        for request_id, began_s in acknowledged.items()
        if request_id in tail.accepted
    ]
    return Waits(spans, tail.times_s)


def summary(delays_s: Iterable[float]) -> Summary:
    """Summarize delays; zeros if there are none."""
    found = sorted(delays_s)
    if not found:
        return Summary(0, 0.0, 0.0, 0.0)

    def quantile(share: float) -> float:
        return round(found[min(len(found) - 1, int(share * len(found)))], 2)

    return Summary(len(found), quantile(0.5), quantile(0.99), round(found[-1], 2))
