"""What is known of a deployment's topics, and what a rule says of them; see `topic_rules.py`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mrs_relay.kafka import broker, settings

Severity = Literal["error", "outage", "warning"]

_CONSUMER_OFFSETS: Final = "__consumer_offsets"
_TRANSACTIONS: Final = "__transaction_state"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that is wrong, or could be.

    Attributes:
        severity: "error": the relay does not start with it. "outage": it starts, and what is concerned waits until this
            is over. "warning": it works, and something may be lost or refused later.
        code: names the rule, for programs.
        text: what was expected and what was found.
        remedy: what to do; "" where the text says it.
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
    What is known of Kafka.

    Attributes:
        kafka: the settings.
        cluster: brokers and topics.
        configs: each topic's configuration, as far as the broker tells it; Kafka's defaults included.
        abilities: which producers the broker knows.
    """

    kafka: settings.KafkaSettings
    cluster: broker.Cluster
    configs: Mapping[str, Mapping[str, str]]
    abilities: broker.Abilities

    @property
    def uses(self) -> dict[str, frozenset[str]]:
        """Our topics, with what we do there: a cancel, for instance, is copied to the requests' other partitions."""
        topics = self.kafka.topics
        both, writes = frozenset({"READ", "WRITE"}), frozenset({"WRITE"})
        used = {topics.requests: both, topics.ledger: both, topics.events: writes, topics.dead_letters: writes}
        return used if topics.latest is None else used | {topics.latest: writes}

    @property
    def present(self) -> list[str]:
        """Those of our topics that exist."""
        return [name for name in self.uses if name in self.cluster.topics]

    def text(self, topic: str | None, config: str) -> str | None:
        """A topic's value, or None where it is not known."""
        return self.configs.get(topic or "", {}).get(config)

    def number(self, topic: str | None, config: str) -> int | None:
        """The same for numbers."""
        told = self.text(topic, config) or ""
        return int(told) if told.removeprefix("-").isdecimal() else None

    def compacts(self, topic: str | None) -> bool | None:
        """Whether a topic forgets by key; None where that is not known."""
        policy = self.text(topic, "cleanup.policy")
        return None if policy is None else "compact" in policy

    def count(self, topic: str) -> int:
        """How many partitions a topic has; 0 where it is missing."""
        found = self.cluster.topics.get(topic)
        return 0 if found is None else len(found.partitions)

    def replicas(self, topic: str) -> int:
        """How many brokers shall keep each partition of a topic: the fewest."""
        found = self.cluster.topics[topic].partitions
        return min((partition.replicas for partition in found), default=0)

    def alter(self, topic: str | None, **configs: object) -> str:
        """Say how to change a topic's configuration; an underscore stands for a dot."""
        changes = ",".join(
            f"{name.replace('_', '.')}=[{value}]" if "," in str(value) else f"{name.replace('_', '.')}={value}"
            for name, value in configs.items()
        )
        return (
            f"`kafka-configs.sh --bootstrap-server {self.kafka.bootstrap_servers} --alter --entity-type topics "
            f"--entity-name {topic} --add-config {changes}`"
        )


def internal(kafka: settings.KafkaSettings, cluster: broker.Cluster) -> list[str]:
    """Kafka's own topics that a relay relies on, as far as it may see them."""
    used = [_CONSUMER_OFFSETS, *([_TRANSACTIONS] if kafka.transactional else [])]
    return [name for name in used if name in cluster.topics]
