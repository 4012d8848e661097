"""The board has the last record of each key, and knows which ones may no longer be true."""

from __future__ import annotations

from tests.unit.read_model import test_why as made

from mrs_relay.kafka import records
from mrs_relay.messages import status
from mrs_relay.read_model import status_board

_HOUR_MS = 3_600_000


def _partition(number: int) -> status.Partition:
    return status.Partition(topic="in", partition=number, state="running")


def _stale(board: status_board.StatusBoard) -> dict[int, bool]:
    return {seen.content.partition: seen.stale for seen in board.partitions(made.NOW_MS)}


def test_a_partition_that_its_replica_no_longer_has_is_stale() -> None:
    """The replica says which partitions it has; a record of another one is what it has left behind."""
    assert _stale(made.board(made.replica(), _partition(0), _partition(7))) == {0: False, 7: True}


def test_what_a_replica_wrote_before_it_left_or_began_again_is_stale() -> None:
    """Without its own record it has left; of an earlier epoch nothing counts."""
    assert _stale(made.board(_partition(0))) == {0: True}
    board = made.board(made.replica(), _partition(0))
    later = status.encode(
        status.encode_content(made.replica()), at_ms=made.NOW_MS, replica="relay-1", epoch_ms=made.NOW_MS
    )
    board.apply(records.Record("s", 0, 0, 0, b"replica/relay-1", later, ()))
    assert _stale(board) == {0: True}


def test_what_is_long_gone_is_no_longer_shown_except_partitions() -> None:
    """A partition without an owner is what a person has to know."""
    board = made.board(made.replica(), _partition(0), made.cluster(status.Cause("quota")), at_ms=made.NOW_MS - _HOUR_MS)
    assert (board.replicas(made.NOW_MS), board.clusters(made.NOW_MS), _stale(board)) == ([], [], {0: True})


def test_a_record_that_is_removed_or_of_a_later_version_is_passed_over() -> None:
    """Of a kind that it knows, members that it does not know are passed over, too."""
    board = made.board(made.replica(), _partition(0))
    value = b'{"at_ms":1,"replica":"r","epoch_ms":1,"content":{"type":"weather"}}'
    board.apply(records.Record("s", 0, 0, 0, b"weather/1", value, ()))
    board.apply(records.Record("s", 0, 0, 0, b"junk", b"\xff\x00", ()))
    board.apply(records.Record("s", 0, 0, 0, status.partition_key("in", 0).encode(), None, ()))
    assert _stale(board) == {}


def test_a_record_of_a_silent_relay_is_stale_by_itself() -> None:
    """Its replica writes all records again in time; one that it has not is of something that is gone."""
    board = made.board(_partition(0), at_ms=made.NOW_MS - 31_000)
    made.put(board, made.replica(), at_ms=made.NOW_MS)
    assert _stale(board) == {0: True}


def test_what_replicas_have_left_behind_is_forgotten() -> None:
    """Each start of a replica has its own keys: a process that reads for months keeps those of the last hours."""
    board = made.board(_partition(0), at_ms=made.NOW_MS)
    for hour in range(100):
        for content in (made.replica(), made.cluster(status.Cause("quota"))):
            made.put(board, content, at_ms=made.NOW_MS + hour * _HOUR_MS, replica=f"relay-{hour}")
    assert len(board._records) <= 1 + 2 * 2
    assert _stale(board) == {0: True}
