"""What a ledger holds before its tail: which records count, and which are repaired."""

from __future__ import annotations

from tests.support import cold_rules, runtimes

from mrs_relay.kafka import cold_records, ledger_format, older_records, records

_INPUT = records.Position(runtimes.IN, 0)


def _cold() -> cold_records.ColdRecords:
    broker = runtimes.cluster(runtimes.kafka_settings(), partitions=1)
    place = records.Position(runtimes.LEDGER, 0)
    return cold_records.ColdRecords(_INPUT, place, broker, cold_rules.rule(_due_ms), 60.0)


def _due_ms(value: bytes) -> int | None:
    return int(value.split()[1]) if value.startswith(b"cold ") else None


def test_record_of_the_very_first_owner_counts_no_longer_after_the_next_claim() -> None:
    """The claim at offset 0 is a claim like any other: what is written under it later is not taken for the truth."""
    replay = older_records.OlderReplay(_INPUT, 10, _cold())
    replay.add([_claim(0), _claim(3), _under(0, 5)])
    assert (replay.stale, replay.live) == ({b"k"}, set())


def test_ignored_record_that_was_repaired_before_the_tail_needs_no_repair_in_it() -> None:
    """Otherwise a ledger that was once written without transactions would be read twice at each takeover."""
    replay = older_records.OlderReplay(_INPUT, 10, _cold())
    replay.add([_claim(1), _claim(3), _under(1, 5)])
    assert replay.stale == {b"k"}
    replay.add([records.Record(runtimes.LEDGER, 0, 6, 0, b"k", b"cold 7")])
    assert (replay.stale, replay.live) == (set(), set())


def test_newest_record_of_a_key_within_a_part_counts() -> None:
    """A job whose whole life is read at once is remembered, or held, or forgotten by its last record."""
    cold = _cold()
    cold.expect_older()
    replay = older_records.OlderReplay(_INPUT, 10, cold)
    replay.add([_plain(0, b"a", b"runs"), _plain(1, b"b", b"cold 5"), _plain(2, b"a", b"cold 7"), _claim(3)])
    assert (replay.live, len(cold)) == (set(), 2)
    replay.add(
        [_plain(4, b"b", b"cold 8"), _plain(5, b"b", b"runs"), _plain(6, b"c", b"cold 9"), _plain(7, b"c", None)]
    )
    assert (replay.live, replay.done) == ({b"b"}, False)
    assert cold.next_due_ms == 1000
    replay.add([_plain(8, b"b", None), _plain(10, b"d", b"cold 9"), _plain(11, b"e", b"cold 9")])
    assert (replay.live, replay.done) == (set(), True)
    assert [key in cold for key in (b"a", b"d", b"e")] == [True, False, False]


def _plain(offset: int, key: bytes, value: bytes | None) -> records.Record:
    return records.Record(runtimes.LEDGER, 0, offset, 0, key, value)


def _claim(offset: int) -> records.Record:
    return records.Record(runtimes.LEDGER, 0, offset, 0, *ledger_format.claim("x.y"))


def _under(claim: int, offset: int) -> records.Record:
    """Return a record without a transaction."""
    return records.Record(runtimes.LEDGER, 0, offset, 0, b"k", b"runs", ledger_format.token(claim))
