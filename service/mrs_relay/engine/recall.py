"""Find the ended jobs that a unit of work cannot decide without, so that they are read from the ledger together."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final

from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters

_MOST: Final = 500
"""Further jobs of a batch are recalled by its next units."""

OF_ENDED: Final = (
    facts.Requested,
    facts.InvalidRequest,
    facts.CancelRequested,
    facts.ResolveRequested,
    facts.DuplicatesChecked,
    facts.DuplicatesStopped,
    facts.Expired,
)
"""Facts that may change a job that has ended, or be answered by it; any other is decided as if there were no job."""


class Recall:
    """
    Keys of jobs that must be recalled before the rest of a batch can be decided.

    Args:
        base: the partition's jobs as committed.
        changed: has the keys that the unit has changed; a live view.
        read: turns a record into a fact; raises no alarm, as the next unit does.

    Attributes:
        keys: these keys; not empty: the unit ends.
    """

    def __init__(
        self,
        base: partition_jobs.Jobs,
        changed: Container[jobs.LedgerKey],
        read: Callable[[records.Record], reader.Meaning],
    ) -> None:
        self._base = base
        self._changed = changed
        self._read = read
        self.keys: set[jobs.LedgerKey] = set()

    def is_needed(self, key: jobs.LedgerKey, fact: facts.Fact) -> bool:
        """Return whether a fact cannot be decided before its job has been recalled; notes its key."""
        if key in self._changed or not self._base.is_cold(key) or not isinstance(fact, OF_ENDED):
            return False
        self.keys.add(key)
        return True

    def look_ahead(self, rest: inboxes.Batch[contexts.Notice]) -> None:
        """Note all jobs that the rest of a batch needs; the next unit decides it."""
        for notice in rest.notices:
            if isinstance(notice, contexts.FactNotice):
                self.is_needed(notice.key, notice.fact)
        for record in rest.records:
            if len(self.keys) >= _MOST:
                return
            meaning = self._read(record)
            if not isinstance(meaning, dead_letters.DeadLetter):
                self.is_needed(*meaning)
