"""A Kafka in memory with what a tap needs, and a relay behind it that answers the moment a request is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from mrs_relay.common import clock
from mrs_relay.kafka import broker, records, topic_io
from mrs_relay.messages import envelope, events

Answer = Callable[[envelope.Envelope], Iterable[events.EventData]]


def reported(request: envelope.Envelope, *states: events.State, **last: object) -> list[events.EventData]:
    """Return the events of one request, `last` being further members of the last one."""
    made = []
    for number, state in enumerate(states, start=1):
        more = last if number == len(states) else {}
        data = {
            "request": {"id": request.id, "source": request.source},
            "state": state,
            "sequence": number,
            "attempt": 1,
            **more,
        }
        made.append(events.EventData.model_validate(data))
    return made


class Kafka:
    """
    Topics that are read as one partition each.

    Args:
        answer: the relay: what it has to say to a request.

    Attributes:
        logs: the records of each topic.
        partitions: of topics that are said to have more than one.
        limits: max.message.bytes of topics of which it is reported.
        reads_requests: the relay is there.
        first: offset of the oldest record that is still kept.
    """

    first = 0

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.logs: dict[str, list[records.Record]] = {"mrs.requests": [], "mrs.events": []}
        self.partitions: dict[str, int] = {}
        self.limits: dict[str, int] = {}
        self.reads_requests = True

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, headers: records.Headers, partition: int | None = None
    ) -> None:
        """Write one record, and let the relay answer if it is a request."""
        log = self.logs[topic]
        log.append(records.Record(topic, partition or 0, len(log), 0, key, value, headers))
        if topic != "mrs.requests" or not self.reads_requests:
            return

        request = envelope.read(topic, value, headers)
        for data in self._answer(request):
            event = events.Event(
                subject="sql",
                key=key or b"",
                time_ms=clock.SystemClock().now_ms(),
                data=events.body(data),
                event_id=f"{request.id}-{data.sequence}",
                correlation_id=request.id,
            )
            self.append("mrs.events", *events.write(event, "/test"))

    @asynccontextmanager
    async def topic(self, name: str, partitions: int) -> AsyncIterator[topic_io.TopicReader]:
        """Yield a reader of one topic."""
        assert partitions == 1
        yield _Reader(self.logs[name], self.first)

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> broker.Producer:
        """Return a producer whose writes are there at once."""
        assert transactional_id is None
        assert not idempotent, "brokers without producer ids must do"
        return _Producer(self)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[broker.Admin]:
        """Yield an admin client that knows the topics."""
        yield _Admin(self)


class _Reader:
    def __init__(self, log: list[records.Record], first: int) -> None:
        self._log = log
        self._first = first
        self._next = 0

    async def bounds(self) -> Mapping[int, broker.Bounds]:
        return {0: broker.Bounds(self._first, len(self._log))}

    async def offsets_since(self, timestamp_ms: int) -> Mapping[int, int]:
        return {0: 0} if timestamp_ms >= 0 else {}

    def go_to(self, offsets: Mapping[int, int]) -> None:
        self._next = offsets[0]

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        found = self._log[self._next :]
        self._next += len(found)
        if not found:
            await asyncio.sleep(min(timeout_s, 0.01))
        return found

    async def position(self, partition: int) -> int:
        return self._next + partition

    def last_answer(self, partition: int) -> int | None:
        return self._next + partition

    def end(self, partition: int) -> int | None:
        return len(self._log) + partition

    @property
    def grown(self) -> bool:
        """The topic stays as it is."""
        return False


class _Producer:
    tainted = False

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    async def start(self) -> None:
        return

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        for one in outgoing:
            self._kafka.append(one.topic, one.key, one.value, one.headers, one.partition)
        return []

    async def kill(self) -> None:
        return


class _Admin:
    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    async def partition_counts(self) -> Mapping[str, int]:
        return {topic: self._kafka.partitions.get(topic, 1) for topic in self._kafka.logs}

    async def cluster(self, asked: Sequence[str] = ()) -> broker.Cluster:
        del asked
        counts = await self.partition_counts()
        return broker.Cluster(1, {name: broker.Topic((broker.Partition(),) * count) for name, count in counts.items()})

    async def configs(self, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        limits = self._kafka.limits
        return {topic: {"max.message.bytes": str(limits[topic])} if topic in limits else {} for topic in topics}

    async def create(self, specs: Sequence[broker.TopicSpec]) -> Mapping[str, str]:
        self._kafka.logs.update({spec.name: [] for spec in specs})
        return {}

    async def abilities(self, transactional_id: str) -> broker.Abilities:
        return broker.Abilities(bool(transactional_id), idempotence=True)
