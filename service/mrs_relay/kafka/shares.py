"""
Assign partitions that members of a consumer group have declined to other members. Pure: each broker's group calls it.

A member declines a partition whose ledger was written in a format that it does not read. The group's leader computes
the shares: a leader of this version respects the declined partitions, an earlier version ignores them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

M = TypeVar("M", bound=Hashable)
P = TypeVar("P", bound=tuple[str, int])


def respecting(shares: Mapping[M, frozenset[P]], declined: Mapping[M, frozenset[P]]) -> dict[M, frozenset[P]]:
    """
    Move each declined partition to a member that has not declined it; one that all have declined stays where it is.

    Args:
        shares: member → its partitions.
        declined: member → partitions that it has declined, whether they are its own or not.
    """
    moved = {member: set(share) for member, share in shares.items()}
    for member, share in shares.items():
        for partition in sorted(share & declined.get(member, frozenset())):
            takers = [other for other in shares if partition not in declined.get(other, frozenset())]
            if takers:
                moved[member].remove(partition)
                moved[min(takers, key=lambda taker: len(moved[taker]))].add(partition)
    return {member: frozenset(share) for member, share in moved.items()}
