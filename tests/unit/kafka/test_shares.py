"""Declined partitions go to members that take them, in the pure rule and as Kafka's members tell each other."""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.sticky import sticky_assignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from mrs_relay.kafka import shares
from mrs_relay.kafka.adapter import assignor

_TOPIC = "in"


def _p(*numbers: int) -> frozenset[tuple[str, int]]:
    return frozenset((_TOPIC, number) for number in numbers)


def test_declined_partition_goes_to_the_member_with_the_fewest_that_takes_it() -> None:
    """Nothing else moves."""
    before = {"a": _p(0, 1), "b": _p(2, 3), "c": _p(4)}
    assert shares.respecting(before, {"a": _p(0, 4)}) == {"a": _p(1), "b": _p(2, 3), "c": _p(0, 4)}


def test_partition_that_all_have_declined_stays() -> None:
    """Somebody has to show it."""
    before = {"a": _p(0), "b": _p(1)}
    assert shares.respecting(before, {"a": _p(0), "b": _p(0)}) == before


class _Cluster(ClusterMetadata):  # type: ignore[misc] # the library ships no types
    def topics(self, exclude_internal_topics: bool = True) -> set[str]:  # noqa: ARG002 - the library's
        return {_TOPIC}

    def partitions_for_topic(self, topic: str) -> set[int]:  # noqa: ARG002 - the same
        return {0, 1, 2, 3}


def _numbers(assigned: ConsumerProtocolMemberAssignment) -> set[int]:
    return {one.partition for one in assigned.partitions()}


def test_leader_heeds_what_a_member_has_declined() -> None:
    """The member that declined gets none of it, whatever it had before; the rest is shared as ever."""
    older, newer = assignor.made(), assignor.made()
    members = {"older": older.metadata([_TOPIC]), "newer": newer.metadata([_TOPIC])}
    first = newer.assign(_Cluster(), members)
    assert {member: len(_numbers(one)) for member, one in first.items()} == {"older": 2, "newer": 2}
    for made, member in ((older, "older"), (newer, "newer")):
        made.on_assignment(first[member])
        made.on_generation_assignment(1)
    one, other = sorted(_numbers(first["older"]))
    older.declined = frozenset({TopicPartition(_TOPIC, one)})
    members = {"older": older.metadata([_TOPIC]), "newer": newer.metadata([_TOPIC])}
    second = newer.assign(_Cluster(), members)
    assert _numbers(second["older"]) == {other}
    assert _numbers(second["newer"]) == {0, 1, 2, 3} - {other}


def test_earlier_version_that_leads_reads_what_it_knows() -> None:
    """What is declined follows what the library writes, so that it takes nothing away from the library's own."""
    made = assignor.made()
    made.declined = frozenset({TopicPartition(_TOPIC, 3)})
    assert sticky_assignor.StickyPartitionAssignor.parse_member_metadata(made.metadata([_TOPIC])).partitions == []
    made.on_assignment(ConsumerProtocolMemberAssignment(0, [(_TOPIC, [1, 2])], b""))
    made.on_generation_assignment(7)
    known = sticky_assignor.StickyPartitionAssignor.parse_member_metadata(made.metadata([_TOPIC]))
    assert (known.partitions, known.generation) == ([TopicPartition(_TOPIC, 1), TopicPartition(_TOPIC, 2)], 7)


def test_member_that_declines_nothing_writes_what_the_library_writes() -> None:
    """So versions side by side share as before."""
    made = assignor.made()
    made.on_assignment(ConsumerProtocolMemberAssignment(0, [(_TOPIC, [1])], b""))
    plain = sticky_assignor.StickyPartitionAssignor._metadata([_TOPIC], [TopicPartition(_TOPIC, 1)], -1)
    assert made.metadata([_TOPIC]).encode() == plain.encode()
