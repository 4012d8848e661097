"""How a ledger partition reads back: last writer wins, tokens, unfinished commits, formats."""

from __future__ import annotations

import msgspec
import pytest

from mrs_relay import errors
from mrs_relay.kafka import ledger_format, records

_INPUT = records.Position("in", 0)
_MINE = "mine"


class _Log:
    """Writes a ledger partition by hand."""

    def __init__(self) -> None:
        self.records: list[records.Record] = []

    def write(self, key: bytes, value: bytes | None, headers: records.Headers = ()) -> int:
        offset = len(self.records)
        self.records.append(records.Record("in.ledger", 0, offset, 0, key, value, headers))
        return offset

    def claim(self, nonce: str = _MINE) -> int:
        return self.write(*ledger_format.claim(nonce))

    def end(self, next_offset: int, *, token: records.Headers = (), outbox: int = 0) -> None:
        key, value, headers = ledger_format.offsets("in", next_offset, outbox=outbox, end=len(self.records))
        self.write(key, value, headers + token)

    def replay(self, previous_claim: int | None = None) -> ledger_format.Replay:
        replay = ledger_format.Replay(_INPUT, _MINE, previous_claim)
        replay.add(self.records)
        return replay


def test_last_value_of_a_key_wins_and_a_tombstone_forgets() -> None:
    """State is what the last commit of each key says."""
    log = _Log()
    log.write(b"a", b"1")
    log.write(b"b", b"1")
    log.end(5)
    log.write(b"a", b"2")
    log.write(b"b", None)
    log.end(6)
    log.claim()
    replay = log.replay()
    assert (replay.state, replay.next_offset, replay.done) == ({b"a": b"2"}, 6, True)


def test_nothing_but_claims_is_a_first_start() -> None:
    """A ledger with claims of others only has no offset and no state."""
    log = _Log()
    log.claim("other")
    log.claim()
    replay = log.replay()
    assert (replay.state, replay.next_offset, replay.done) == ({}, None, True)


def test_without_own_claim_it_is_not_done() -> None:
    """The end of the log says nothing; only one's own claim does."""
    log = _Log()
    log.claim("other")
    log.end(1)
    assert not log.replay().done


def test_what_follows_the_own_claim_is_left_alone() -> None:
    """A zombie that writes behind the claim changes nothing of what is restored."""
    log = _Log()
    log.end(1)
    log.claim()
    log.write(b"a", b"zombie")
    log.end(9)
    replay = log.replay()
    assert (replay.state, replay.next_offset) == ({}, 1)


def test_records_of_a_replaced_owner_are_ignored_and_named() -> None:
    """A token older than the newest claim is ignored, and its keys are to be written again."""
    log = _Log()
    old = ledger_format.token(log.claim("old"))
    log.end(0, token=old)
    new = ledger_format.token(log.claim("new"))
    log.write(b"a", b"new", new)
    log.end(5, token=new)
    log.write(b"a", b"zombie", old)
    log.write(b"z", b"zombie", old)
    log.end(3, token=old)
    log.claim()
    replay = log.replay()
    assert (replay.state, replay.next_offset) == ({b"a": b"new"}, 5)
    assert replay.stale_keys == {b"a", b"z", ledger_format.OFFSETS}


def test_unfinished_commit_is_ignored_and_named() -> None:
    """Records that no offsets follow belong to a commit that did not get through."""
    log = _Log()
    log.write(b"a", b"1")
    log.end(1)
    log.write(b"a", b"2")
    log.write(b"b", b"2")
    log.claim()
    replay = log.replay()
    assert (replay.state, replay.next_offset, replay.stale_keys) == ({b"a": b"1"}, 1, {b"a", b"b"})


def test_unfinished_commit_that_was_repaired_reads_right() -> None:
    """Once the next owner has written the right values, the rest of the old commit does no harm."""
    log = _Log()
    log.write(b"a", b"1")
    log.end(1)
    log.write(b"a", b"2")
    log.write(b"b", b"2")
    token = ledger_format.token(log.claim("next"))
    log.write(b"a", b"1", token)
    log.write(b"b", None, token)
    log.end(1, token=token)
    log.claim()
    replay = log.replay()
    assert (replay.state, replay.stale_keys) == ({b"a": b"1"}, set())


def test_finished_commit_whose_end_was_compacted_counts() -> None:
    """Compaction removes older offsets; the next ones vouch for everything before them."""
    log = _Log()
    log.write(b"a", b"1")
    log.claim("next")
    log.write(b"b", b"2")
    log.end(2)
    log.claim()
    assert log.replay().state == {b"a": b"1", b"b": b"2"}


def test_state_without_any_offset_is_unreadable() -> None:
    """The very first commit writes an offset, so state without one was cut or is not ours."""
    log = _Log()
    log.write(b"a", b"1")
    log.claim()
    with pytest.raises(errors.StateUnreadable, match="no offset of the topic in"):
        _ = log.replay().next_offset


def test_offset_of_another_topic_is_unreadable() -> None:
    """State that was written for another input topic is refused."""
    log = _Log()
    log.write(b"a", b"1")
    log.write(ledger_format.OFFSETS, b'{"other":4}')
    log.claim()
    with pytest.raises(errors.StateUnreadable):
        _ = log.replay().next_offset


@pytest.mark.parametrize("where", ["claim", "offsets"])
def test_newer_format_is_unreadable(where: str) -> None:
    """A version that does not know the format keeps its hands off."""
    log = _Log()
    if where == "claim":
        log.write(ledger_format.CLAIM, msgspec.json.encode(ledger_format.Claim("other", ledger_format.FORMAT + 1)))
    else:
        log.write(ledger_format.OFFSETS, b'{"in":4}', (("f", b"3"),))
    with pytest.raises(errors.StateUnreadable, match="format 3"):
        log.replay()


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (ledger_format.CLAIM, b"no json", ()),
        (ledger_format.OFFSETS, b"[1]", ()),
        (ledger_format.OFFSETS, b'{"in":1}', (("o", b"many"),)),
        (b"a", b"1", (("t", b"?"),)),
    ],
)
def test_strange_records_are_unreadable(key: bytes, value: bytes, headers: records.Headers) -> None:
    """What does not decode stops the partition with its offset in the message."""
    log = _Log()
    log.end(0)
    log.write(key, value, headers)
    with pytest.raises(errors.StateUnreadable, match="offset 1"):
        log.replay()


def test_outbox_of_the_last_commit_is_unsent() -> None:
    """What the last commit had to send comes back in order and whole."""
    outgoing = [records.Outgoing("ev", b"k%d" % n, b"v" * 60_000, (("h", b"x"),), None) for n in range(10)]
    log = _Log()
    token = ledger_format.token(log.claim("other"))
    log.write(b"a", b"1", token)
    parts = ledger_format.outbox(outgoing)
    for key, value in parts:
        log.write(key, value, token)
    log.end(4, token=token, outbox=len(parts))
    log.claim()
    assert len(parts) > 1
    assert log.replay().unsent == outgoing


def test_outbox_of_an_earlier_commit_was_sent() -> None:
    """A commit begins only after the one before has sent everything."""
    log = _Log()
    for key, value in ledger_format.outbox([records.Outgoing("ev", b"k", b"v")]):
        log.write(key, value)
    log.end(1, outbox=1)
    log.end(2)
    log.claim()
    assert log.replay().unsent == []


def test_foreign_claims_count_after_the_own_one() -> None:
    """Only owners that came after our last claim show that another process is at work."""
    log = _Log()
    log.claim("before")
    previous = log.claim("ours, earlier")
    log.claim("foreign")
    log.claim()
    assert log.replay(previous).foreign_claims == 1
    assert log.replay().foreign_claims == 0
