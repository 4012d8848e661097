"""
aiokafka's admin client: describes topics without creating them, creates them on request, tries producers.

A request for a topic by name lets the broker create it (auto.create.topics), so all topics are listed instead.

Source: aiokafka 0.14, admin/client.py (experimental; per-topic errors are in the reply, not raised).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.protocol.transaction import InitProducerIdRequest

from mrs_relay.kafka import broker
from mrs_relay.kafka.adapter import connection as connections
from mrs_relay.kafka.adapter import topology
from mrs_relay.kafka.topics import acl_plan

_ASK_S = 15.0
_STOP_S = 2.0
_RETRY_S = 0.2
_TOPIC_ALREADY_EXISTS = 36

log = structlog.get_logger(__name__)


class KafkaAdmin:
    """See `broker.Admin`."""

    def __init__(self, connection: connections.Connection, client: AIOKafkaAdminClient) -> None:
        self._connection = connection
        self._client = client

    async def partition_counts(self) -> Mapping[str, int]:
        """Return all topics with their numbers of partitions; creates none by the question."""
        async with self._connection.asking("list the topics", _ASK_S):
            described = await self._client.describe_topics(None)
        return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}

    async def cluster(self, asked: Sequence[str] = ()) -> broker.Cluster:
        """Describe all brokers and topics; creates none by the question."""
        client = self._client._client  # noqa: SLF001 - it has the request that the library lacks
        async with self._connection.asking("describe the topics", _ASK_S):
            found = await topology.describe(client)
            missing = [name for name in asked if name not in found.topics]
            if missing:
                refused = (await topology.describe(client, missing)).refused
                found = dataclasses.replace(found, refused=refused & set(missing))
            return dataclasses.replace(found, asker=acl_plan.asker(self._connection.kafka))

    async def configs(self, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Return the configuration of existing topics, without the values that the broker does not report."""
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        try:
            async with self._connection.asking("read the topics' configuration", _ASK_S):
                replies = await self._client.describe_configs(asked)
        except kafka_errors.IncompatibleBrokerVersion:
            return {}
        found = {}
        for reply in replies:
            for code, _message, _type, name, entries in reply.resources:
                if code == 0:
                    found[str(name)] = {str(entry[0]): str(entry[1]) for entry in entries}
        return found

    async def create(self, specs: Sequence[broker.TopicSpec]) -> Mapping[str, str]:
        """Create topics; returns the reason for each that failed."""
        async with self._connection.asking("create topics", _ASK_S):
            reply = await self._client.create_topics([_new_topic(spec) for spec in specs])
        failed = {}
        for topic, code, *message in reply.topic_errors:
            if code not in {0, _TOPIC_ALREADY_EXISTS}:
                kind = kafka_errors.for_code(code).__name__
                failed[str(topic)] = f"{kind} {message[0]}" if message and message[0] else kind
        return failed

    async def abilities(self, transactional_id: str) -> broker.Abilities:
        """Find out which producers the broker supports, without the library's, which logs an error when it fails."""
        client = AIOKafkaClient(**self._connection.options("probe"))
        attended = self._connection.attend(client)
        try:
            async with self._connection.asking("try out producers", _ASK_S):
                await client.bootstrap()
                plain = await _knows_producers(client, None)
                return broker.Abilities(plain and await _knows_producers(client, transactional_id), plain)
        finally:
            await connections.stopped(attended, client.close(), _STOP_S)


@asynccontextmanager
async def administering(connection: connections.Connection) -> AsyncIterator[broker.Admin]:
    """Connect an admin client."""
    client = AIOKafkaAdminClient(**connection.options("admin"))
    attended = connection.attend(client._client)  # noqa: SLF001 - the library's connections
    try:
        async with connection.asking("connect", _ASK_S):
            await client.start()
            if client._client.cluster.controller is None:  # noqa: SLF001 - the library would fail by a bug of its own
                raise kafka_errors.KafkaConnectionError("it names no controller")
        yield KafkaAdmin(connection, client)
    finally:
        if (error := await connections.stopped(attended, client.close(), _STOP_S)) is not None:
            log.debug("admin_close_failed", error=repr(error))


def _new_topic(spec: broker.TopicSpec) -> NewTopic:
    topic = NewTopic(spec.name, spec.partitions, 1, topic_configs=dict(spec.configs))
    topic.replication_factor = spec.replication_factor  # the constructor refuses -1, the broker's default
    return topic


async def _knows_producers(client: AIOKafkaClient, transactional_id: str | None) -> bool:
    """Request a producer id until the broker grants it or refuses for good."""
    while True:
        try:
            node = client.get_random_node()
            if transactional_id is not None:
                node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=1_000)
            error = kafka_errors.for_code((await client.send(node, request)).error_code)
        except kafka_errors.IncompatibleBrokerVersion:
            return False
        except kafka_errors.KafkaError as raised:
            error = type(raised)

        if error is kafka_errors.NoError:
            return True
        if error is kafka_errors.TransactionalIdAuthorizationFailed:
            raise error(transactional_id)

        # All other refusals are final, unless the broker asks to try again.
        if not getattr(error, "retriable", False) and error is not kafka_errors.ConcurrentTransactions:
            return False
        await asyncio.sleep(_RETRY_S)
