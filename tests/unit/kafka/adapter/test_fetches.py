"""A fetch that is parsed at once has what the library's own way returns, in the same order, up to the same offset."""

from __future__ import annotations

import random
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from tests.support import batches as built

from mrs_relay.kafka.adapter import fetches

_TP = TopicPartition("t", 0)


def _log(drawn: random.Random) -> tuple[bytes, list[tuple[int, int]], int]:
    """Return batches of several producers, some in transactions that end well or are aborted; the aborted; the end."""
    parts, aborted, offset = [], [], 0
    open_since: dict[int, int] = {}

    for _ in range(drawn.randrange(1, 25)):
        producer = drawn.choice([-1, 1, 2, 3])
        if producer in open_since and drawn.random() < 0.4:
            commit = drawn.random() < 0.5
            if not commit:
                aborted.append((producer, open_since[producer]))
            del open_since[producer]
            parts.append(built.marker(offset, producer, commit=commit))
            offset += 1
        else:
            values = [b"%d" % (offset + number) for number in range(drawn.randrange(1, 5))]
            headers = [[("h", drawn.choice([b"x", None]))] if drawn.random() < 0.3 else [] for _ in values]
            codec = drawn.choice(["none", "gzip"])
            parts.append(built.batch(offset, values, codec=codec, headers=headers, producer_id=producer))
            if producer >= 0:
                open_since.setdefault(producer, offset)
            offset += len(values)

        offset += drawn.choice([0, 0, 0, 3])  # compaction leaves gaps

    aborted += open_since.items()  # as if they were aborted behind this fetch
    return b"".join(parts), drawn.sample(aborted, len(aborted)), offset


def _parser(raw: bytes, aborted: list[tuple[int, int]], first: int) -> Any:
    return fetcher.PartitionRecords(
        _TP, memory_records.MemoryRecords(raw), aborted, first, None, None, check_crcs=False, isolation_level=1
    )


def _shown(records: Any) -> list[tuple[Any, ...]]:
    return [(one.offset, one.key, one.value, [(name, value or b"") for name, value in one.headers]) for one in records]


@pytest.mark.parametrize("seed", range(100))
def test_whole_fetch_has_what_the_library_returns(seed: int) -> None:
    """Transactions, markers, gaps, and an offset within a batch."""
    drawn = random.Random(seed)  # noqa: S311 - a test's draws
    raw, aborted, end = _log(drawn)
    first = drawn.randrange(end)
    library, whole = _parser(raw, aborted, first), fetches.Fetches(lambda: False)
    wanted = _shown(library)

    fetched = type("Fetched", (), {})()
    fetched._partition_records = _parser(raw, aborted, first)
    whole[_TP] = fetched
    found = fetched._partition_records
    assert found.next_fetch_offset == first
    assert _shown(found) == wanted
    assert found.next_fetch_offset == library.next_fetch_offset
