"""Facts about a deployment's topics, and the findings of the rules; see `topic_rules.py`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mrs_relay.kafka import broker, settings
from mrs_relay.kafka.topics import acl_plan

Severity = Literal["error", "outage", "warning"]

_CONSUMER_OFFSETS: Final = "__consumer_offsets"
_TRANSACTIONS: Final = "__transaction_state"
_NEEDED: Final = frozenset({"READ", "WRITE"})


@dataclass(frozen=True, slots=True)
class Finding:
    """
    A fault of the set-up, or a risk.

    Attributes:
        severity: "error": the relay does not start with it. "outage": it starts, and the partitions concerned wait for
            the end of it. "warning": it works, and messages may be lost or refused later.
        code: names the rule, for programs.
        text: the expected and the found state.
        remedy: the steps that mend it; "" if the text names them.
    """

    severity: Severity
    code: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


@dataclass(frozen=True, slots=True)
class Facts:
    """
    The facts about Kafka that the rules judge.

    Attributes:
        kafka: the settings.
        cluster: brokers and topics.
        configs: each topic's configuration, as far as the broker reports it, with Kafka's defaults.
        abilities: the kinds of producers that the broker supports.
    """

    kafka: settings.KafkaSettings
    cluster: broker.Cluster
    configs: Mapping[str, Mapping[str, str]]
    abilities: broker.Abilities

    @property
    def uses(self) -> dict[str, frozenset[str]]:
        """Our topics with the operations without which we do not work; that of the status is judged by itself."""
        rules = acl_plan.acls(self.kafka, "relay")
        return {
            rule.name: _NEEDED & {operation.upper() for operation in rule.operations}
            for rule in rules
            if rule.kind == "topic" and rule.name != self.kafka.topics.status
        }

    @property
    def present(self) -> list[str]:
        """Our topics that exist."""
        return [name for name in self.uses if name in self.cluster.topics]

    def text(self, topic: str | None, config: str) -> str | None:
        """Return the value of a topic's configuration, or None if it is not known."""
        return self.configs.get(topic or "", {}).get(config)

    def number(self, topic: str | None, config: str) -> int | None:
        """Return a number from a topic's configuration, or None if it is not known."""
        value = self.text(topic, config) or ""
        return int(value) if value.removeprefix("-").isdecimal() else None

    def compacts(self, topic: str | None) -> bool | None:
        """Return whether a topic is compacted; None if that is not known."""
        policy = self.text(topic, "cleanup.policy")
        return None if policy is None else "compact" in policy

    def count(self, topic: str) -> int:
        """Return the number of a topic's partitions; 0 if it is missing."""
        found = self.cluster.topics.get(topic)
        return 0 if found is None else len(found.partitions)

    def replicas(self, topic: str) -> int:
        """Return the replication factor of a topic: the smallest of its partitions."""
        found = self.cluster.topics[topic].partitions
        return min((partition.replicas for partition in found), default=0)

    def alter(self, topic: str | None, **configs: object) -> str:
        """Return the command that changes a topic's configuration; an underscore stands for a dot."""
        changes = ",".join(
            f"{name.replace('_', '.')}=[{value}]" if "," in str(value) else f"{name.replace('_', '.')}={value}"
            for name, value in configs.items()
        )
        return (
            f"`kafka-configs.sh --bootstrap-server {self.kafka.bootstrap_servers} --alter --entity-type topics "
            f"--entity-name {topic} --add-config {changes}`"
        )


def internal(kafka: settings.KafkaSettings, cluster: broker.Cluster) -> list[str]:
    """Return Kafka's internal topics that a relay depends on, if it may see them."""
    used = [_CONSUMER_OFFSETS, *([_TRANSACTIONS] if kafka.transactional else [])]
    return [name for name in used if name in cluster.topics]
