"""
Limit the bytes of one commit of a partition: less after a commit that failed or was slow, more after quick ones.

A commit that takes longer than `kafka.commit_timeout_s` fails, and all of it has to be decided and written again. The
bytes that Kafka takes in that time depend on its quotas and on the network, so the budget adapts. It outlives a
restore.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.kafka import counts as runtime_counts

LEAST_BYTES: Final = 16 * 1024
_GROWTH_PART: Final = 8


class CommitBudget:
    """
    The budget of one partition.

    Args:
        most_bytes: `kafka.commit_bytes`, the first and the largest budget.
        slow_s: seconds after which a commit no longer grows the budget; after twice as long, it is halved.
        counts: take each commit's duration or failure, for metrics; None: nothing counts them.

    Attributes:
        bytes: that a commit may write; a single larger record is committed alone.
    """

    def __init__(self, most_bytes: int, slow_s: float, counts: runtime_counts.RuntimeCounts | None = None) -> None:
        self.bytes = most_bytes
        self._most_bytes = most_bytes
        self._slow_s = slow_s
        self._counts = counts or runtime_counts.RuntimeCounts()

    def failed(self, size_bytes: int) -> None:
        """Halve the budget after a commit of this size that failed; a small one failed for another reason."""
        self._counts.commit_failures += 1
        self._halve(size_bytes)

    def _halve(self, size_bytes: int) -> None:
        if size_bytes > LEAST_BYTES:
            self.bytes = max(min(LEAST_BYTES, self._most_bytes), min(self.bytes, size_bytes) // 2)

    def succeeded(self, size_bytes: int, took_s: float) -> None:
        """Grow after a quick commit that used most of the budget; halve after a slow one, before one fails."""
        self._counts.commits.add(took_s)
        if took_s > 2 * self._slow_s:
            self._halve(size_bytes)
        elif took_s < self._slow_s and 2 * size_bytes > self.bytes:
            self.bytes = min(self._most_bytes, self.bytes + self.bytes // _GROWTH_PART)
