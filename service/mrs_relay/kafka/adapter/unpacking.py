"""
Unpack a consumer's fetches before the library reads them, and keep unreadable batches from it.

It wraps the one method that sends a consumer's fetches; aiokafka is not changed for other clients. A partition with an
unreadable batch is paused once all records before that batch have been returned, so that the batch is neither fetched
again and again nor blocks the other partitions. The consumer's owner gets it by `take_bad`.

Source: aiokafka 0.14, consumer/fetcher.py (`_proc_fetch_request`), protocol/fetch.py.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol import fetch

from mrs_relay.kafka import broker, records
from mrs_relay.kafka.adapter import batches

OPTIONS: Final = {"check_crcs": False}
"""Options of the consumer: its batches are checked before, and their checksum is that of the compressed batch."""

_INLINE_BYTES: Final = 4 * 1024 * 1024  # uncompressed; checked in about 10 ms


class Unpacker:
    """
    Unpacks the fetches of a started consumer.

    Args:
        client: the consumer; made with `OPTIONS`.
        most_bytes: bound of the unpacked bytes of one batch, and of one fetch.

    Attributes:
        parses: whether the records within the batches are parsed, too; False: their reader calls `parse` for a fetch
            that cannot be parsed, and reads it again.
    """

    def __init__(self, client: AIOKafkaConsumer, most_bytes: int) -> None:
        self._client = client
        self._most_bytes = most_bytes
        self.parses = True
        self._send = client._client.send  # noqa: SLF001 - the library offers no place to look at what was fetched
        self._bad: dict[TopicPartition, tuple[int, batches.Bad]] = {}
        client._client.send = self._sent  # noqa: SLF001 - the same

    def position(self, tp: TopicPartition) -> int | None:
        """Return the consumer's position in a partition, without waiting; None if it has none."""
        subscription = self._client._subscription.subscription  # noqa: SLF001 - the library's own way waits
        if subscription is None or (assignment := subscription.assignment) is None or tp not in assignment.tps:
            return None
        state = assignment.state_value(tp)
        return int(state.position) if state.has_valid_position else None

    def take_bad(self) -> broker.BatchUnreadable | None:
        """Return an unreadable batch at the position of its paused partition, each one once; None without one."""
        while self._bad:
            tp, (at, bad) = self._bad.popitem()
            if self.position(tp) == at:
                return broker.BatchUnreadable(records.Position(*tp), bad.first, bad.next_offset, bad.reason)
        return None

    def parse(self) -> bool:
        """Parse the records of all further fetches; returns whether those before were not parsed."""
        began, self.parses = not self.parses, True
        return began

    async def _sent(self, node_id: object, request: object, **options: object) -> Any:  # noqa: ANN401 - the library's
        response = await self._send(node_id, request, **options)
        if isinstance(request, fetch.FetchRequest):
            await self._unpack(request, response)
        return response

    async def _unpack(self, request: fetch.FetchRequest, response: Any) -> None:  # noqa: ANN401 - the same
        asked = {TopicPartition(topic, one[0]): one[1] for topic, parts in request.topics for one in parts}
        left_bytes = self._most_bytes
        topics = []
        for topic, partitions in response.topics:
            unpacked = []
            for partition, code, *facts, raw in partitions:
                tp = TopicPartition(topic, partition)
                found = await self._read(raw or b"", _aborted(response, facts), left_bytes)
                left_bytes -= found.unpacked_bytes
                if found.bad is not None and not found.raw:
                    self._note(tp, asked[tp], found.bad)
                unpacked.append((partition, code, *facts, found.raw))
            topics.append((topic, unpacked))
        response.topics = topics

    async def _read(self, raw: bytes, aborted: list[tuple[int, int]], left_bytes: int) -> batches.Readable:
        is_small = len(raw) <= _INLINE_BYTES
        if is_small and not self.parses and batches.are_plain(raw):
            return batches.Readable(raw)
        if is_small and not batches.compressed(raw):
            return batches.readable(raw, aborted, self._most_bytes, left_bytes, parses=self.parses)
        check = functools.partial(batches.readable, parses=self.parses)
        return await asyncio.to_thread(check, raw, aborted, self._most_bytes, left_bytes)

    def _note(self, tp: TopicPartition, at: int, bad: batches.Bad) -> None:
        if self.position(tp) == at:  # else the partition was sought to another offset, or revoked, meanwhile
            self._bad[tp] = at, bad
            self._client.pause(tp)


def _aborted(response: Any, facts: list[Any]) -> list[tuple[int, int]]:  # noqa: ANN401 - the library ships no types
    """Return the aborted transactions in a partition's reply; their place depends on the version of the API."""
    if response.API_VERSION >= 11:  # noqa: PLR2004 - of Kafka's Fetch API
        return facts[3] or []
    return (facts[-1] or []) if response.API_VERSION >= 4 else []  # noqa: PLR2004 - the same
