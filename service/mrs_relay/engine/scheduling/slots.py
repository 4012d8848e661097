"""Count the slots of each cluster by their holders: jobs of both job APIs share the slots of their cluster."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import entries

_NO_HOLDERS: Final[frozenset[entries.Holder]] = frozenset()


class Slots:
    """
    Count the jobs of this process that run on each cluster.

    Args:
        most: slots of a cluster; 0: no bound.

    Attributes:
        most: see above; may change while jobs run, which keep their slots.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._holders: dict[str, set[entries.Holder]] = {}

    @property
    def clusters(self) -> Collection[str]:
        """The clusters of which slots are taken."""
        return self._holders.keys()

    def holders(self, cluster_id: str) -> Collection[entries.Holder]:
        """Return the jobs that hold a slot of a cluster."""
        return self._holders.get(cluster_id, _NO_HOLDERS)

    def taken(self, cluster_id: str) -> int:
        """Count the slots of a cluster that are taken."""
        return len(self._holders.get(cluster_id, _NO_HOLDERS))

    def is_full(self, place: entries.Place) -> bool:
        """Return whether the place needs a slot and all are taken."""
        return place[1] in jobs.SUBMISSIONS and 0 < self.most <= self.taken(_cluster_of(place))

    def is_last(self, place: entries.Place) -> bool:
        """Return whether the place needs a slot and one slot is left."""
        return place[1] in jobs.SUBMISSIONS and self.taken(_cluster_of(place)) == self.most - 1

    def take(self, place: entries.Place, holder: entries.Holder) -> None:
        """Give a job a slot, unless the place needs none."""
        if place[1] in jobs.SUBMISSIONS:
            cluster_id = _cluster_of(place)
            holders = self._holders.get(cluster_id)
            if holders is None:
                holders = self._holders[cluster_id] = set()
            holders.add(holder)

    def give_back(self, place: entries.Place, holder: entries.Holder) -> bool:
        """Take a job's slot back; returns whether it held one."""
        cluster_id = _cluster_of(place)
        holders = self._holders.get(cluster_id)
        if holders is None or holder not in holders:
            return False
        holders.discard(holder)
        if not holders:
            del self._holders[cluster_id]
        return True

    def leave(self, owner: entries.Owner) -> None:
        """Take back the slots of a partition that this process no longer owns."""
        self._holders = {
            cluster_id: left
            for cluster_id, holders in self._holders.items()
            if (left := {holder for holder in holders if holder[0] is not owner})
        }


def _cluster_of(place: entries.Place) -> str:
    """Return the cluster, for which slots are counted in all APIs together."""
    return place[0]
