"""
Partitions without a leader, and the input partitions that wait for one: each waits alone.

An input partition waits while it or its ledger has no leader. Events, dead letters, latest states and lineage belong
to all input partitions: one waits for their leaders only after a commit of its own has failed. Running leases are left
alone: jobs need no new messages, and a commit that cannot be written ends the lease by itself.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import structlog

from mrs_relay.kafka import records, settings

LOOK_S = 1.0
"""Seconds between two checks of a partition that waits for a leader."""

_SHOWN = 5

log = structlog.get_logger(__name__)


class Leaders:
    """Knows the partitions of one set of topics that had no leader at the last update."""

    def __init__(self, topics: settings.Topics) -> None:
        outputs = [topics.events, topics.dead_letters, *([] if topics.latest is None else [topics.latest])]
        outputs += [] if topics.lineage is None else [topics.lineage]
        self.topics = (topics.requests, topics.ledger, *outputs)
        self._ledger = topics.ledger
        self._outputs = frozenset(outputs)
        self._missing: frozenset[records.Position] = frozenset()

    def update(self, leaderless: AbstractSet[records.Position]) -> bool:
        """Replace the set of partitions without a leader; returns whether it has changed."""
        missing = frozenset(position for position in leaderless if position.topic in self.topics)
        if missing == self._missing:
            return False
        if missing:
            log.warning("leaders_lost", partitions=[str(position) for position in sorted(missing)])
        else:
            log.info("leaders_restored")
        self._missing = missing
        return True

    @property
    def all_there(self) -> bool:
        """Whether every partition of our topics has a leader."""
        return not self._missing

    def is_missing(self, position: records.Position) -> bool:
        """Return whether exactly this partition has no leader."""
        return position in self._missing

    def awaited(self, position: records.Position, *, failed: bool) -> str | None:
        """
        Say which leader an input partition has to wait for; None if there is none.

        Args:
            position: the input partition.
            failed: its last lease has ended by a failure, perhaps because a topic that it writes to has no leader.
        """
        own = {position, records.Position(self._ledger, position.partition)}
        waits = sorted(one for one in self._missing if one in own or (failed and one.topic in self._outputs))
        if not waits:
            return None
        more = f" and {len(waits) - _SHOWN} more" if len(waits) > _SHOWN else ""
        return f"waits for a leader of {', '.join(map(str, waits[:_SHOWN]))}{more}: start the broker that holds it"
