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


def _claim(offset: int) -> records.Record:
    return records.Record(runtimes.LEDGER, 0, offset, 0, *ledger_format.claim("x.y"))


def _under(claim: int, offset: int) -> records.Record:
    """A record without a transaction."""
    return records.Record(runtimes.LEDGER, 0, offset, 0, b"k", b"runs", ledger_format.token(claim))
