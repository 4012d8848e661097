"""A replica of a version that writes the ledger in a higher format, played on the brokers of this one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeVar

import msgspec

from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import ledger_format, records, settings

R = TypeVar("R", records.Record, records.Outgoing)

FORMAT: Final = ledger_format.FORMAT + 1
"""What the newer version writes."""


class NewerBroker:
    """
    A broker as a replica of the newer version uses it: it writes one format more and reads it.

    Args:
        broker: of a group, or where `for_group` finds it.
        kafka: its settings; None until `for_group`.
    """

    def __init__(self, broker: Any, kafka: settings.KafkaSettings | None = None) -> None:
        self._broker = broker
        self._kafka = kafka

    def for_group(self, kafka: settings.KafkaSettings) -> NewerBroker:
        """Return the door of one group."""
        return NewerBroker(self._broker.for_group(kafka), kafka)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> Any:
        """Return a producer that writes the higher format."""
        assert self._kafka is not None
        return _Producer(self._broker.producer(transactional_id, idempotent=idempotent), self._kafka.topics.ledger)

    @contextlib.asynccontextmanager
    async def reader(self, position: records.Position, offset: int | None, *, few: bool = False) -> AsyncIterator[Any]:
        """Read, and take the higher format for the one that is read here."""
        async with self._broker.reader(position, offset, few=few) as reader:
            yield _Reader(reader)


class _Producer:
    def __init__(self, producer: brokers.Producer, ledger: str) -> None:
        self._producer = producer
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        return await self._producer.write(
            [_as_format(one, FORMAT) if one.topic == self._ledger else one for one in outgoing]
        )


class _Reader:
    def __init__(self, reader: brokers.LogReader) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def read_stored(self, timeout_s: float) -> Sequence[records.Stored]:
        return await self.read(timeout_s)

    async def read(self, timeout_s: float) -> list[records.Record]:
        return [_as_format(one, ledger_format.FORMAT) for one in await self._reader.read(timeout_s)]


def _as_format(one: R, number: int) -> R:
    """Change what a record says of its format, and nothing else."""
    value = one.value
    if one.key == ledger_format.CLAIM and value is not None:
        value = json.dumps({**json.loads(value), "format": number}).encode()
    headers = tuple((name, b"%d" % number if name == "f" else content) for name, content in one.headers)
    return msgspec.structs.replace(one, value=value, headers=headers)
