"""
aiokafka's sticky assignor, extended by the rules of `shares.py`: members report what they need, the leader follows.

The partitions that a member declines, and whether it hands over those on which it works, follow the library's own user
data, which is read from the front. So a leader of an earlier version ignores both, and a member without them declines
no partition and hands none over: it has let go of all before it joins.

Source: aiokafka 0.14, coordinator/assignors/sticky/sticky_assignor.py.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.sticky import sticky_assignor as sticky
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.protocol import struct, types

from mrs_relay.kafka import shares

HANDING_OVER: Final = b"hands over"
"""
Beside the share of a member that is to hand partitions over: no member has them until it releases them. One that comes
back in its place without a rebalance, by its instance id, learns so that nothing else will begin one.
"""


class _Declined(struct.Struct):  # type: ignore[misc] # the library ships no types
    _TOPIC = ("topic", types.String("utf-8")), ("partitions", types.Array(types.Int32))
    SCHEMA = types.Schema(("declined", types.Array(*_TOPIC)))


class _HandsOver(struct.Struct):  # type: ignore[misc] # the same
    SCHEMA = types.Schema(("hands_over", types.Int8))


class Assignor(sticky.StickyPartitionAssignor):  # type: ignore[misc] # the same
    """
    The assignor of one consumer. The library calls class methods, so each consumer makes a class with `made`.

    Attributes:
        declined: partitions that another member should get, if one takes them.
        hands_over: the member works on the partitions that it reports, until it has learnt its new share.
    """

    declined: frozenset[TopicPartition] = frozenset()
    hands_over: bool = False

    @classmethod
    def hold(cls, partitions: Iterable[TopicPartition]) -> None:
        """Report these partitions as those on which this member works."""
        cls.member_assignment = sorted(partitions)

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return the metadata that this member sends to the leader."""
        declared = super().metadata(topics)
        if cls.declined or cls.hands_over:
            before = declared.user_data or sticky.StickyAssignorUserDataV1([], cls.DEFAULT_GENERATION_ID).encode()
            declared.user_data = before + _Declined(_by_topic(cls.declined)).encode()
        if cls.hands_over:
            declared.user_data += _HandsOver(1).encode()
        return declared

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Compute the shares of all members, as their leader."""
        assigned: dict[str, ConsumerProtocolMemberAssignment] = super().assign(cluster, members)
        declined = {member: _declined(metadata.user_data) for member, metadata in members.items()}
        held = {member: _held(metadata.user_data) for member, metadata in members.items()}
        if not any(declined.values()) and not any(held.values()):
            return assigned

        moved = shares.respecting({member: frozenset(one.partitions()) for member, one in assigned.items()}, declined)
        moved = shares.handed_over(moved, held)
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version, _by_topic(share), HANDING_OVER if held[member] - share else b""
            )
            for member, share in moved.items()
        }


def made() -> type[Assignor]:
    """Make the class for one consumer: the library keeps an assignor's state on its class."""
    return type("Sticky", (Assignor,), {"member_assignment": None, "generation": Assignor.DEFAULT_GENERATION_ID})


def _declined(user_data: bytes) -> frozenset[TopicPartition]:
    """Read the partitions that a member has declined; none if the list is missing or has another format."""
    stream = io.BytesIO(user_data or b"")
    try:
        sticky.StickyAssignorUserDataV1.decode(stream)
        declined = _Declined.decode(stream).declined
    except Exception:  # noqa: BLE001 - the library raises what it meets, and a wrong list must not stop the group
        return frozenset()
    return frozenset(TopicPartition(topic, one) for topic, partitions in declined for one in partitions)


def _held(user_data: bytes) -> frozenset[TopicPartition]:
    """Read the partitions on which a member works; none if it does not hand them over."""
    stream = io.BytesIO(user_data or b"")
    try:
        reported = sticky.StickyAssignorUserDataV1.decode(stream)
        _Declined.decode(stream)
        hands_over = _HandsOver.decode(stream).hands_over
    except Exception:  # noqa: BLE001 - as in `_declined`
        return frozenset()
    if not hands_over:
        return frozenset()
    return frozenset(TopicPartition(topic, one) for topic, ones in reported.previous_assignment for one in ones)


def _by_topic(partitions: Iterable[TopicPartition]) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = defaultdict(list)
    for topic, partition in sorted(partitions):
        found[topic].append(partition)
    return list(found.items())
