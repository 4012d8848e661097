"""
Ask a broker for the cluster's brokers and topics: leaders, replicas, operations allowed to us, and the topics' ids.

The library's own request ends at version 5, before topic ids; version 10 is added here. The request never creates a
topic.

Source: Kafka 4.3, MetadataRequest.json and MetadataResponse.json; KIP-516 (topic ids), KIP-430 (operations).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import client as kafka_client
from aiokafka import errors
from aiokafka.protocol import api, metadata, types

from mrs_relay.kafka import broker

_OPERATIONS: Final = {3: "READ", 4: "WRITE", 5: "CREATE", 6: "DELETE", 7: "ALTER", 8: "DESCRIBE"} | {
    10: "DESCRIBE_CONFIGS",
    11: "ALTER_CONFIGS",
}
"""Kafka's numbers of the operations that an ACL allows for a topic."""

_NO_LEADER: Final = -1
_REFUSED: Final = errors.TopicAuthorizationFailedError.errno
_TEXT: Final = types.CompactString("utf-8")
_NUMBERS: Final = types.CompactArray(types.Int32)


class _Uuid(types.AbstractType[bytes]):  # type: ignore[misc] # the library ships no types
    """Sixteen bytes; the library has no such type."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: Any) -> bytes:  # noqa: ANN401 - a stream of the library's
        return bytes(data.read(16))


class _Response(api.Response):  # type: ignore[misc] # the library ships no types
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = types.Schema(
        ("throttle_time_ms", types.Int32),
        (
            "brokers",
            types.CompactArray(
                ("node_id", types.Int32),
                ("host", _TEXT),
                ("port", types.Int32),
                ("rack", _TEXT),
                ("tags", types.TaggedFields),
            ),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", types.Int32),
        (
            "topics",
            types.CompactArray(
                ("error_code", types.Int16),
                ("topic", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", types.Boolean),
                (
                    "partitions",
                    types.CompactArray(
                        ("error_code", types.Int16),
                        ("partition", types.Int32),
                        ("leader", types.Int32),
                        ("leader_epoch", types.Int32),
                        ("replicas", _NUMBERS),
                        ("isr", _NUMBERS),
                        ("offline_replicas", _NUMBERS),
                        ("tags", types.TaggedFields),
                    ),
                ),
                ("operations", types.Int32),
                ("tags", types.TaggedFields),
            ),
        ),
        ("cluster_operations", types.Int32),
        ("tags", types.TaggedFields),
    )


class _Request(api.RequestStruct):  # type: ignore[misc] # the library ships no types
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Response
    SCHEMA = types.Schema(
        ("topics", types.CompactArray(("topic_id", _Uuid), ("topic", _TEXT), ("tags", types.TaggedFields))),
        ("allow_auto_topic_creation", types.Boolean),
        ("include_cluster_operations", types.Boolean),
        ("include_topic_operations", types.Boolean),
        ("tags", types.TaggedFields),
    )


class _Describe(api.Request[metadata.MetadataRequest_v1 | metadata.MetadataRequest_v5 | _Request]):  # type: ignore[misc] # the library ships no types
    """A metadata request in the newest version that the broker knows."""

    API_KEY = 3

    def __init__(self, topics: Sequence[str] | None) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[api.RequestStruct]) -> api.RequestStruct:
        if request_struct_class is _Request:
            no_topic_id = bytes(16)
            untagged: dict[int, bytes] = {}
            named = None if self._topics is None else [(no_topic_id, topic, untagged) for topic in self._topics]
            return _Request(named, False, False, True, {})
        if request_struct_class is metadata.MetadataRequest_v5:
            return metadata.MetadataRequest_v5(None if self._topics is None else list(self._topics), False)
        return metadata.MetadataRequest_v1(None)  # a named topic might be created


async def describe(client: kafka_client.AIOKafkaClient, topics: Sequence[str] | None = None) -> broker.Cluster:
    """
    Describe the cluster by a request to one of the brokers that the client knows.

    Args:
        client: connected.
        topics: their names; None describes all.

    Raises:
        KafkaError: the library's.
    """
    reply = await client.send(client.get_random_node(), _Describe(topics))
    answer = reply.to_object()
    # NB: the reply lists only brokers that are up; the others show as keepers of replicas.
    partitions = [partition for topic in answer["topics"] for partition in topic["partitions"]]
    known = {one["node_id"] for one in answer["brokers"]} | {one for each in partitions for one in each["replicas"]}
    return broker.Cluster(
        len(known),
        {
            topic["topic"]: _topic(topic)
            for topic in answer["topics"]
            if not topic["error_code"] and (topics is None or topic["topic"] in topics)
        },
        frozenset(topic["topic"] for topic in answer["topics"] if topic["error_code"] == _REFUSED),
    )


def _topic(answer: Mapping[str, Any]) -> broker.Topic:
    by_number = sorted(answer["partitions"], key=lambda one: int(one["partition"]))
    identity = answer.get("topic_id", bytes(16))
    operations = answer.get("operations", 0)
    return broker.Topic(
        tuple(
            broker.Partition(one["leader"] != _NO_LEADER, len(one["replicas"]), len(one["isr"])) for one in by_number
        ),
        base64.urlsafe_b64encode(identity).decode().rstrip("=") if any(identity) else None,  # as Kafka's tools show it
        # NB: 0 and negative numbers come from brokers that do not report operations.
        frozenset(name for number, name in _OPERATIONS.items() if operations >> number & 1) if operations > 0 else None,
    )
