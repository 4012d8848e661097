"""
Requests of a group's member that carry its instance id; the library's own versions of them leave it out.

Without the id the broker cannot tell a member whose session has ended from one whose id another process uses now, and
the library answers both by joining again: two processes with one id would evict each other for ever.

Source: Kafka 4.3, HeartbeatRequest.json, OffsetCommitRequest.json, LeaveGroupRequest.json; KIP-345.
"""

from __future__ import annotations

from typing import Any, Final

from aiokafka.protocol import api, commit, group, types

FENCED_INSTANCE_ID: Final = 82
"""Kafka's error code: another member has joined with our instance id; the library knows no code above 79."""

_TEXT: Final = types.String("utf-8")


class HeartbeatResponseV3(api.Response):  # type: ignore[misc] # the library ships no types
    """The reply to `HeartbeatV3`."""

    API_KEY = 12
    API_VERSION = 3
    SCHEMA = group.HeartbeatResponse_v1.SCHEMA


class HeartbeatV3(api.RequestStruct):  # type: ignore[misc] # the same
    """A heartbeat with instance id."""

    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponseV3
    SCHEMA = types.Schema(
        ("group", _TEXT), ("generation_id", types.Int32), ("member_id", _TEXT), ("group_instance_id", _TEXT)
    )


class OffsetCommitResponseV7(api.Response):  # type: ignore[misc] # the same
    """The reply to `OffsetCommitV7`."""

    API_KEY = 8
    API_VERSION = 7
    SCHEMA = commit.OffsetCommitResponse_v3.SCHEMA


class OffsetCommitV7(api.RequestStruct):  # type: ignore[misc] # the same
    """A commit of offsets with instance id."""

    API_KEY = 8
    API_VERSION = 7
    RESPONSE_TYPE = OffsetCommitResponseV7
    _PARTITION = (
        ("partition", types.Int32),
        ("offset", types.Int64),
        ("leader_epoch", types.Int32),
        ("metadata", _TEXT),
    )
    SCHEMA = types.Schema(
        ("group", _TEXT),
        ("generation_id", types.Int32),
        ("member_id", _TEXT),
        ("group_instance_id", _TEXT),
        ("topics", types.Array(("topic", _TEXT), ("partitions", types.Array(*_PARTITION)))),
    )


class LeaveGroupResponseV3(api.Response):  # type: ignore[misc] # the same
    """The reply to `LeaveGroupV3`."""

    API_KEY = 13
    API_VERSION = 3
    SCHEMA = types.Schema(
        ("throttle_time_ms", types.Int32),
        ("error_code", types.Int16),
        (
            "members",
            types.Array(("member_id", _TEXT), ("group_instance_id", _TEXT), ("error_code", types.Int16)),
        ),
    )


class LeaveGroupV3(api.RequestStruct):  # type: ignore[misc] # the same
    """The departure of members by their instance ids."""

    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = LeaveGroupResponseV3
    SCHEMA = types.Schema(
        ("group", _TEXT), ("members", types.Array(("member_id", _TEXT), ("group_instance_id", _TEXT)))
    )


class Heartbeat(api.Request[group.HeartbeatRequest_v0 | group.HeartbeatRequest_v1 | HeartbeatV3]):  # type: ignore[misc] # the same
    """A heartbeat; brokers before Kafka 2.3 get it without the instance id."""

    API_KEY = 12

    def __init__(self, group_id: str, generation: int, member_id: str, instance_id: str | None) -> None:
        self._fields = group_id, generation, member_id
        self._instance_id = instance_id

    def build(self, request_struct_class: Any) -> Any:  # noqa: ANN401 - the library ships no types
        """Build the version that the broker takes."""
        if request_struct_class is HeartbeatV3:
            return HeartbeatV3(*self._fields, self._instance_id)
        return request_struct_class(*self._fields)


class OffsetCommit(api.Request[commit.OffsetCommitRequest_v2 | commit.OffsetCommitRequest_v3 | OffsetCommitV7]):  # type: ignore[misc] # the same
    """A commit of offsets; made of the library's own."""

    API_KEY = 8

    def __init__(self, usual: commit.OffsetCommitRequest, instance_id: str) -> None:
        self._usual = usual
        self._instance_id = instance_id

    def build(self, request_struct_class: Any) -> Any:  # noqa: ANN401 - the same
        """Build the version that the broker takes."""
        usual = self._usual
        if request_struct_class is not OffsetCommitV7:
            return usual.build(request_struct_class)
        topics = [
            (topic, [(partition, offset, -1, note) for partition, offset, note in partitions])
            for topic, partitions in usual._topics  # noqa: SLF001 - what the library was asked to commit
        ]
        return OffsetCommitV7(
            usual._consumer_group,  # noqa: SLF001 - the same
            usual._consumer_group_generation_id,  # noqa: SLF001 - the same
            usual._consumer_id,  # noqa: SLF001 - the same
            self._instance_id,
            topics,
        )


class LeaveGroup(api.Request[group.LeaveGroupRequest_v0 | group.LeaveGroupRequest_v1 | LeaveGroupV3]):  # type: ignore[misc] # the same
    """The departure of one member."""

    API_KEY = 13

    def __init__(self, group_id: str, member_id: str, instance_id: str | None) -> None:
        self._group_id = group_id
        self._member_id = member_id
        self._instance_id = instance_id

    def build(self, request_struct_class: Any) -> Any:  # noqa: ANN401 - the same
        """Build the version that the broker takes."""
        if request_struct_class is LeaveGroupV3:
            return LeaveGroupV3(self._group_id, [(self._member_id, self._instance_id)])
        return request_struct_class(self._group_id, self._member_id)


def is_fenced(reply: Any) -> bool:  # noqa: ANN401 - the same
    """Say whether a reply of the coordinator means that another member has joined with our instance id."""
    if isinstance(reply, OffsetCommitResponseV7):
        return any(code == FENCED_INSTANCE_ID for _, partitions in reply.topics for _, code in partitions)
    return getattr(reply, "error_code", 0) == FENCED_INSTANCE_ID
