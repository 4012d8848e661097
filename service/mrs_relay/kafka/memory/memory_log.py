"""
The in-memory broker's logs and transactions: offsets, control markers, aborted records, fencing by transactional id.

Synchronous and without time; `memory_broker.py` adds the waiting, `memory_group.py` the consumer group.
"""

from __future__ import annotations

import bisect
import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from mrs_relay import errors
from mrs_relay.kafka import broker, records


class Outcome(enum.Enum):
    """State of a transaction."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction: its state and the logs that it has written to."""

    outcome: Outcome = Outcome.OPEN
    logs: list[Log] = field(default_factory=list)

    def end(self, outcome: Outcome) -> None:
        """Set the outcome and write the markers; a second call changes nothing."""
        if self.outcome is Outcome.OPEN:
            self.outcome = outcome
            for log in self.logs:
                log.mark(self)


@dataclass(frozen=True, slots=True)
class _Entry:
    offset: int
    record: records.Record | None  # None is a control marker
    transaction: Transaction | None


class Log:
    """The log of one partition."""

    def __init__(self, position: records.Position) -> None:
        self._position = position
        self._entries: list[_Entry] = []
        self._undecided: dict[Transaction, int] = {}
        self._spoilt: dict[int, tuple[int, str]] = {}
        self.first = 0
        self.end = 0

    @property
    def stable_end(self) -> int:
        """Offset of the first undecided record, or the end: readers of committed records stop here."""
        return min(self._undecided.values(), default=self.end)

    def append(
        self, outgoing: Iterable[records.Outgoing], timestamp_ms: int, transaction: Transaction | None = None
    ) -> records.Block:
        """Store records, undecided if they belong to a transaction."""
        first = self.end
        if transaction is not None and transaction not in self._undecided:
            self._undecided[transaction] = first
            transaction.logs.append(self)
        for item in outgoing:
            record = records.Record(*self._position, self.end, timestamp_ms, item.key, item.value, item.headers)
            self._entries.append(_Entry(self.end, record, transaction))
            self.end += 1
        return records.Block(self._position, first, self.end - first)

    def mark(self, transaction: Transaction) -> None:
        """Write the control marker of a decided transaction; it takes an offset."""
        del self._undecided[transaction]
        self._entries.append(_Entry(self.end, None, None))
        self.end += 1

    def read(self, offset: int, limit: int) -> tuple[list[records.Record], int]:
        """
        Return committed records from `offset` on, `limit` at most, and the offset to continue at.

        Raises:
            BatchUnreadable: the next record is in an unreadable batch.
        """
        found: list[records.Record] = []
        stable_end = self.stable_end
        spoilt = min((first for first, (behind, _) in self._spoilt.items() if behind > offset), default=self.end)
        if spoilt <= offset < self.end:
            raise broker.BatchUnreadable(self._position, spoilt, *self._spoilt[spoilt])
        stable_end = min(stable_end, spoilt)

        start = bisect.bisect_left(self._entries, offset, key=lambda entry: entry.offset)
        for number in range(start, len(self._entries)):  # a slice would be copied, or walked to
            entry = self._entries[number]
            if entry.offset >= stable_end:
                break
            if entry.record is None or _aborted(entry.transaction):
                continue
            if len(found) == limit:
                return found, entry.offset
            found.append(entry.record)
        return found, max(offset, stable_end)

    def spoil(self, first: int, next_offset: int, reason: str) -> None:
        """Make the records from `first` up to `next_offset` an unreadable batch."""
        self._spoilt[first] = next_offset, reason

    def cut(self, before: int) -> None:
        """Remove the records below an offset, as retention does."""
        self._entries = [entry for entry in self._entries if entry.offset >= before]
        self.first = max(self.first, before)

    def truncate(self, end: int) -> None:
        """Lose the records from an offset on, as a follower that lagged behind and became the leader does."""
        self._entries = [entry for entry in self._entries if entry.offset < end]
        self.end = min(self.end, end)

    def compact(self) -> None:
        """Keep the last decided record of each key, as compaction does; offsets stay."""
        stable_end = self.stable_end
        last = {
            entry.record.key: entry.offset
            for entry in self._entries
            if entry.record is not None and entry.offset < stable_end and not _aborted(entry.transaction)
        }
        self._entries = [
            entry
            for entry in self._entries
            if entry.offset >= stable_end or (entry.record is not None and last.get(entry.record.key) == entry.offset)
        ]


class Coordinator:
    """Grants each transactional id to its newest producer only."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._open: dict[str, Transaction] = {}

    def register(self, transactional_id: str) -> int:
        """Fence older producers of the id, abort their open transaction, and return the new epoch."""
        if (unfinished := self._open.pop(transactional_id, None)) is not None:
            unfinished.end(Outcome.ABORTED)
        epoch = self._epochs.get(transactional_id, -1) + 1
        self._epochs[transactional_id] = epoch
        return epoch

    def begin(self, transactional_id: str, epoch: int) -> Transaction:
        """Open a transaction. Raises Fenced."""
        self.check(transactional_id, epoch)
        if transactional_id in self._open:
            raise errors.Fenced("a transaction is open already")
        transaction = self._open[transactional_id] = Transaction()
        return transaction

    def end(self, transactional_id: str, epoch: int, outcome: Outcome) -> None:
        """End the open transaction. Raises Fenced."""
        self.check(transactional_id, epoch)
        self._open.pop(transactional_id).end(outcome)

    def expire(self, transactional_id: str, transaction: Transaction) -> None:
        """Abort a transaction that took too long, and fence its producer, as Kafka does."""
        if self._open.get(transactional_id) is transaction:
            self.register(transactional_id)

    def check(self, transactional_id: str, epoch: int) -> None:
        """Raise Fenced unless the epoch is the newest."""
        if self._epochs.get(transactional_id) != epoch:
            raise errors.Fenced(f"a newer producer of {transactional_id} exists, or a transaction ran out of time")


def _aborted(transaction: Transaction | None) -> bool:
    return transaction is not None and transaction.outcome is Outcome.ABORTED
