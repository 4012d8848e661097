"""The in-memory broker's logs keep Kafka's rules about transactions, offsets and compaction."""

from __future__ import annotations

import pytest

from mrs_relay import errors
from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_log

_PLACE = records.Position("t", 0)


def _put(log: memory_log.Log, key: str, value: str, transaction: memory_log.Transaction | None = None) -> None:
    log.append([records.Outgoing("t", key.encode(), value.encode())], 0, transaction)


def _read(log: memory_log.Log) -> list[tuple[int, bytes | None]]:
    return [(record.offset, record.value) for record in log.read(0, 100)[0]]


def test_undecided_records_hide_all_that_follow() -> None:
    """Readers of committed records wait behind the first open transaction."""
    log = memory_log.Log(_PLACE)
    coordinator = memory_log.Coordinator()
    transaction = coordinator.begin("x", coordinator.register("x"))
    _put(log, "a", "1")
    _put(log, "a", "2", transaction)
    _put(log, "a", "3")
    assert (_read(log), log.stable_end, log.end) == ([(0, b"1")], 1, 3)
    transaction.end(memory_log.Outcome.COMMITTED)
    assert _read(log) == [(0, b"1"), (1, b"2"), (2, b"3")]
    assert log.end == 4  # the marker takes an offset


def test_aborted_records_are_never_seen() -> None:
    """An aborted transaction leaves a gap in the offsets."""
    log = memory_log.Log(_PLACE)
    transaction = memory_log.Transaction()
    _put(log, "a", "1", transaction)
    transaction.end(memory_log.Outcome.ABORTED)
    _put(log, "a", "2")
    assert _read(log) == [(2, b"2")]


def test_newer_producer_fences_and_aborts() -> None:
    """A second producer of an id ends what the first has open and takes its rights."""
    log = memory_log.Log(_PLACE)
    coordinator = memory_log.Coordinator()
    old = coordinator.register("x")
    _put(log, "a", "1", coordinator.begin("x", old))
    coordinator.register("x")
    _put(log, "a", "2")
    assert _read(log) == [(2, b"2")]
    with pytest.raises(errors.Fenced):
        coordinator.end("x", old, memory_log.Outcome.COMMITTED)
    with pytest.raises(errors.Fenced):
        coordinator.begin("x", old)


def test_transaction_that_takes_too_long_is_aborted_and_fenced() -> None:
    """Running out of time looks like being fenced."""
    coordinator = memory_log.Coordinator()
    epoch = coordinator.register("x")
    transaction = coordinator.begin("x", epoch)
    coordinator.expire("x", transaction)
    assert transaction.outcome is memory_log.Outcome.ABORTED
    with pytest.raises(errors.Fenced):
        coordinator.end("x", epoch, memory_log.Outcome.COMMITTED)


def test_compaction_keeps_the_last_of_each_key_and_the_offsets() -> None:
    """Aborted and overwritten records go; what is undecided stays."""
    log = memory_log.Log(_PLACE)
    _put(log, "a", "1")
    _put(log, "b", "1")
    _put(log, "a", "2")
    transaction = memory_log.Transaction()
    _put(log, "b", "aborted", transaction)
    transaction.end(memory_log.Outcome.ABORTED)
    log.compact()
    assert _read(log) == [(1, b"1"), (2, b"2")]


def test_retention_moves_the_beginning() -> None:
    """What lies below the cut is gone."""
    log = memory_log.Log(_PLACE)
    for number in range(4):
        _put(log, "a", str(number))
    log.cut(2)
    assert (log.first, _read(log)) == (2, [(2, b"2"), (3, b"3")])


def test_reading_continues_where_it_stopped() -> None:
    """The position returned is behind what was read, also past markers."""
    log = memory_log.Log(_PLACE)
    transaction = memory_log.Transaction()
    for number in range(3):
        _put(log, "a", str(number), transaction)
    transaction.end(memory_log.Outcome.COMMITTED)
    first, position = log.read(0, 2)
    rest, end = log.read(position, 100)
    assert ([r.offset for r in first], [r.offset for r in rest], end) == ([0, 1], [2], 4)
