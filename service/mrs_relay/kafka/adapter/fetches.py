"""
Parse a whole fetch at once, in place of aiokafka's way, which makes one more record of each that it has parsed.

A restore reads millions of records, and that way takes twice as long as all other steps of the reading. Here the
records of the library's parser are returned as they are, but for those with headers. What counts, and in which order,
is as in the library: see its source.

Source: aiokafka 0.14, consumer/fetcher.py (`Fetcher._records`, `FetchResult.getall`, `PartitionRecords`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import TopicPartition

from mrs_relay.kafka import records


class Fetches(dict[TopicPartition, Any]):
    """
    The fetches that a consumer has not returned yet; stands in for `Fetcher._records`.

    Args:
        on_unreadable: called for a fetch that cannot be parsed; returns whether its rest will be checked when the
            library asks for it again. Then a batch that cannot be read is noted, and names of headers that are not
            UTF-8 are rewritten.
    """

    def __init__(self, on_unreadable: Callable[[], bool]) -> None:
        super().__init__()
        self._on_unreadable = on_unreadable

    def __setitem__(self, tp: TopicPartition, fetched: Any) -> None:  # noqa: ANN401 - the library ships no types
        batches = getattr(fetched, "_partition_records", None)  # an error has none
        if batches is not None:
            fetched._partition_records = _Whole(tp, batches, self._on_unreadable)  # noqa: SLF001 - see the source
        super().__setitem__(tp, fetched)


class _Whole:
    """The records of one fetch; stands in for `PartitionRecords`."""

    def __init__(self, tp: TopicPartition, library: Any, on_unreadable: Callable[[], bool]) -> None:  # noqa: ANN401
        self.next_fetch_offset: int = library.next_fetch_offset
        self._tp = tp
        self._library = library
        self._on_unreadable = on_unreadable

    def __iter__(self) -> Iterator[records.Stored]:
        """Parse the fetch up to its end, or to a batch that cannot be parsed."""
        found: list[records.Stored] = []
        batches = self._library._records  # noqa: SLF001 - see the source
        try:
            while batches.has_next():
                batch = batches.next_batch()
                if not self._hides(batch):
                    found += self._parsed(batch)
                self.next_fetch_offset = batch.next_offset
        except Exception:
            if not self._on_unreadable():
                raise
        return iter(found)

    def _hides(self, batch: Any) -> bool:  # noqa: ANN401 - the same
        """Return whether a batch has nothing for readers: it belongs to an aborted transaction, or ends one."""
        library = self._library
        if batch.producer_id is None:
            return False
        library._consume_aborted_up_to(batch.base_offset)  # noqa: SLF001 - see the source
        if batch.is_control_batch:
            if library._contains_abort_marker(batch):  # noqa: SLF001 - the same
                library._aborted_producers.discard(batch.producer_id)  # noqa: SLF001 - the same
            return True
        return batch.is_transactional and batch.producer_id in library._aborted_producers  # noqa: SLF001 - the same

    def _parsed(self, batch: Any) -> list[Any]:  # noqa: ANN401 - the same
        parsed = list(batch)
        first = self.next_fetch_offset
        if parsed and parsed[0].offset < first:  # a batch is fetched as a whole, also from an offset within it
            parsed = [fact for fact in parsed if fact.offset >= first]
        return [record(self._tp, fact) if fact.headers else fact for fact in parsed]


def record(place: Any, fact: Any) -> records.Record:  # noqa: ANN401 - the same
    """Convert the library's record; a null header value becomes an empty one."""
    if isinstance(fact, records.Record):
        return fact
    headers = tuple((name, content or b"") for name, content in fact.headers) if fact.headers else ()
    return records.Record(place.topic, place.partition, fact.offset, fact.timestamp, fact.key, fact.value, headers)
