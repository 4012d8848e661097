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


def test_partition_on_which_another_member_works_is_left_out_until_that_one_has_let_go() -> None:
    """What no member has, and what its owner keeps, is assigned at once; a claim of one's own counts before others'."""
    wanted = {"a": _p(0, 4), "b": _p(1, 2), "c": _p(3)}
    held = {"a": _p(0, 1), "b": _p(2), "d": _p(0)}
    assert shares.handed_over(wanted, held) == {"a": _p(0, 4), "b": _p(2), "c": _p(3)}


def test_newcomer_gets_what_a_member_has_once_that_has_released_it() -> None:
    """Two rebalances: the first one takes it from the owner, the second one gives it to the newcomer."""
    owner, newcomer = assignor.made(), assignor.made()
    owner.hands_over = newcomer.hands_over = True
    owner.hold(TopicPartition(_TOPIC, number) for number in range(4))
    first = owner.assign(_Cluster(), {"owner": owner.metadata([_TOPIC]), "newcomer": newcomer.metadata([_TOPIC])})
    assert [len(_numbers(first[member])) for member in ("owner", "newcomer")] == [2, 0]
    assert [first[member].user_data for member in ("owner", "newcomer")] == [assignor.HANDING_OVER, b""]
    owner.hold(first["owner"].partitions())
    second = owner.assign(_Cluster(), {"owner": owner.metadata([_TOPIC]), "newcomer": newcomer.metadata([_TOPIC])})
    assert (second["owner"].partitions(), len(_numbers(second["newcomer"]))) == (first["owner"].partitions(), 2)
    assert [one.user_data for one in second.values()] == [b"", b""]


def test_member_of_an_earlier_version_has_let_go_before_it_joins() -> None:
    """What it had is assigned at once: it would not join again by itself."""
    earlier, newcomer = assignor.made(), assignor.made()
    newcomer.hands_over = True
    earlier.declined = frozenset({TopicPartition(_TOPIC, 9)})  # some earlier versions report this, and end there
    earlier.hold(TopicPartition(_TOPIC, number) for number in range(4))
    members = {"earlier": earlier.metadata([_TOPIC]), "newcomer": newcomer.metadata([_TOPIC])}
    assert {len(_numbers(share)) for share in newcomer.assign(_Cluster(), members).values()} == {2}


def test_earlier_version_that_leads_reads_what_a_member_that_hands_over_reports() -> None:
    """The mark follows what the library writes, and what is declined."""
    made = assignor.made()
    made.hands_over = True
    made.declined = frozenset({TopicPartition(_TOPIC, 3)})
    made.hold([TopicPartition(_TOPIC, 1)])
    known = sticky_assignor.StickyPartitionAssignor.parse_member_metadata(made.metadata([_TOPIC]))
    assert known.partitions == [TopicPartition(_TOPIC, 1)]
    assert assignor._declined(made.metadata([_TOPIC]).user_data) == made.declined
