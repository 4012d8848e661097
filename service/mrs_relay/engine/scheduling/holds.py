"""
Keep the entries that a control holds, outside the queues.

A held entry takes part in no turn, and its cluster and tenant are free for others. Its rank stays: time under a control
counts as waiting, so that once the control is lifted those that waited longest go first.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.engine.scheduling import entries, fair_queue
from mrs_relay.messages import controls


class HeldEntries:
    """
    Keep held entries.

    Args:
        controls: those in effect.
        queue: gets an entry back when no control holds it any more.
    """

    def __init__(self, controls: standing.Controls, queue: fair_queue.FairQueue) -> None:
        self._controls: Final = controls
        self._queue: Final = queue
        self._entries: dict[entries.Holder, entries.QueueEntry] = {}
        self._rejected: set[entries.Holder] = set()

    def __len__(self) -> int:
        """Return the number of held entries."""
        return len(self._entries)

    def control_of(self, entry: entries.QueueEntry) -> controls.Control | None:
        """Return the control that holds an entry now; None: none does."""
        return self._controls.holding(entry.job, self._queue.tenant_of(entry.owner).policy.tenant)

    def keep(self, entry: entries.QueueEntry) -> bool:
        """Keep an entry if a control holds it; returns whether one does."""
        tenant = self._queue.tenant_of(entry.owner).policy.tenant
        held = self._controls.held_back(entry.job, tenant)
        if held is None:
            self.withdraw(entry.holder)
            return False
        self._entries[entry.holder] = entry

        # It ends without a turn. That is asked for once, as the controls may change many times before it is decided.
        if held.rejection is None:
            self._rejected.discard(entry.holder)
        elif entry.holder not in self._rejected:
            self._rejected.add(entry.holder)
            entry.reject(entry.key)
        return True

    def entry_of(self, holder: entries.Holder) -> entries.QueueEntry | None:
        """Return a held entry; None: the job has none here."""
        return self._entries.get(holder)

    def withdraw(self, holder: entries.Holder) -> None:
        """Remove an entry, if there is one."""
        self._entries.pop(holder, None)
        self._rejected.discard(holder)

    def leave(self, owner: entries.Owner) -> None:
        """Remove all entries of an owner."""
        self._entries = {holder: entry for holder, entry in self._entries.items() if holder[0] is not owner}
        self._rejected.intersection_update(self._entries)

    def look_again(self) -> None:
        """Move entries after the controls have changed: out of their queues, and back into them."""
        held, waiting = list(self._entries.values()), self._queue.waiting()
        for entry in waiting:
            if self.keep(entry):
                self._queue.withdraw(entry.holder)
        for entry in held:
            if not self.keep(entry):
                self._queue.add(entry.again())
