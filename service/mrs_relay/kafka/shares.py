"""
The rules by which a consumer group's leader changes the shares of its members. Pure: each broker's group calls them.

A member declines a partition whose ledger was written in a format that it does not read; another one gets it. A member
also names the partitions on which it works: one of them moves to another member in two steps, so that its owner can
finish what it holds in between. A leader of an earlier version follows neither rule.
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


def handed_over(shares: Mapping[M, frozenset[P]], held: Mapping[M, frozenset[P]]) -> dict[M, frozenset[P]]:
    """
    Leave out of each share what is new in it and held by another member: the next rebalance assigns it.

    Args:
        shares: member → its partitions.
        held: member → partitions on which it works until it has learnt its new share.
    """
    holders = {partition: member for member, partitions in held.items() for partition in partitions}
    return {
        member: frozenset(
            one for one in share if one in held.get(member, frozenset()) or holders.get(one, member) == member
        )
        for member, share in shares.items()
    }
