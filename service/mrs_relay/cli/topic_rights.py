"""
`mrs-relay topics acls`: the rights on Kafka that each role needs, for `kafka-acls.sh` or for Strimzi.

Neighbours: `kafka.topics.acl_plan` says which rights, `kafka.topics.topic_setup` which topics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.topics import acl_plan, topic_setup

_STRIMZI_KINDS: Final[dict[acl_plan.Kind, str]] = {
    "topic": "topic",
    "group": "group",
    "transactional-id": "transactionalId",
}


def commands(rules: Sequence[acl_plan.Acl], bootstrap: str, principal: str) -> Iterator[str]:
    """Yield a comment and a command of Kafka's own tool for each rule."""
    for rule in rules:
        yield f"# {rule.reason}\n{acl_plan.command(rule, bootstrap, principal)}"


def resources(
    kafka: kafka_settings.KafkaSettings, rules: Sequence[acl_plan.Acl], cluster: str, user: str
) -> Iterator[dict[str, Any]]:
    """Yield Strimzi's resources: the topics, and the user with its rights."""
    labels = {"strimzi.io/cluster": cluster}
    for topic in strimzi_topics(kafka):
        metadata = {"name": topic["topicName"].replace("_", "-").lower(), "labels": labels}
        yield {"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "KafkaTopic", "metadata": metadata, "spec": topic}
    yield {
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "KafkaUser",
        "metadata": {"name": user, "labels": labels},
        "spec": {"authorization": {"type": "simple", "acls": strimzi_acls(rules)}},
    }


def strimzi_acls(rules: Sequence[acl_plan.Acl]) -> list[dict[str, Any]]:
    """Return the rules as Strimzi's KafkaUser has them."""
    return [
        {
            "resource": {
                "type": _STRIMZI_KINDS[rule.kind],
                "name": rule.name,
                "patternType": "prefix" if rule.prefixed else "literal",
            },
            "operations": list(rule.operations),
        }
        for rule in rules
    ]


def strimzi_topics(kafka: kafka_settings.KafkaSettings) -> list[dict[str, Any]]:
    """
    Return the topics as Strimzi's KafkaTopic has them: the ones that `topics create` makes.

    Where the brokers choose the number of replicas, it is left out: Strimzi refuses -1.
    """
    return [
        {
            "topicName": spec.name,
            "partitions": spec.partitions,
            **({"replicas": spec.replication_factor} if spec.replication_factor > 0 else {}),
            "config": dict(spec.configs),
        }
        for spec in topic_setup.plan(kafka, partitions=kafka.partitions)
    ]
