"""
The rights on Kafka that each role of a deployment needs, and no others. Pure.

`topic_setup.plan` says which topics there are; this says who may do what with them. A right to read or write includes
the right to describe.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from mrs_relay.kafka import settings

Role = Literal["relay", "web", "producer", "subscriber", "lineage"]

Kind = Literal["topic", "group", "transactional-id"]


@dataclass(frozen=True, slots=True)
class Acl:
    """
    One rule: what a principal may do with a resource.

    Attributes:
        kind: of the resource.
        name: of the resource, or what its name begins with.
        operations: by Kafka's names.
        reason: what they are needed for.
        prefixed: whether `name` is a prefix.
    """

    kind: Kind
    name: str
    operations: tuple[str, ...]
    reason: str
    prefixed: bool = False


_OPTIONS: Final[dict[Kind, str]] = {
    "topic": "--topic",
    "group": "--group",
    "transactional-id": "--transactional-id",
}


def command(rule: Acl, bootstrap: str, principal: str) -> str:
    """Return the command of Kafka's own tool that gives a principal the rights of a rule."""
    words = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--add", "--allow-principal", principal]
    words += [word for operation in rule.operations for word in ("--operation", operation)]
    words += [_OPTIONS[rule.kind], rule.name, "--resource-pattern-type", "prefixed" if rule.prefixed else "literal"]
    return shlex.join(words)


_ANYONE: Final = "User:NAME"
"""Stands for a user whose name among Kafka's principals only Kafka knows, such as that of a certificate or a token."""


class Asker(NamedTuple):
    """
    A client that may lack rights.

    Attributes:
        bootstrap: the addresses that it asks.
        principal: its name among Kafka's principals, as far as it is known.
    """

    bootstrap: str = "HOST:PORT"
    principal: str = _ANYONE


UNKNOWN: Final = Asker()
"""A client of which nothing is known."""


def asker(kafka: settings.KafkaSettings) -> Asker:
    """Return the client of these settings: a user who logs in with a password has the same name as principal."""
    security = kafka.security
    is_known = security.protocol.startswith("SASL") and security.mechanism.startswith(("PLAIN", "SCRAM"))
    return Asker(kafka.bootstrap_servers, f"User:{security.username}" if is_known and security.username else _ANYONE)


def remedy(rule: Acl, who: Asker) -> str:
    """Say, for people, how the rights of a rule that are missing are given."""
    return f"`{command(rule, *who)}` gives it; `mrs-relay topics acls` prints all that is needed"


def lacking(rule: Acl, who: Asker) -> str:
    """Say, for people, that the rights of a rule are missing, and how they are given."""
    resource = rule.kind.replace("-", " ") + ("s that begin with" if rule.prefixed else "")
    whom = "" if who.principal == _ANYONE else f" for {who.principal}"
    return f"the right {' and '.join(rule.operations)} on {resource} {rule.name} is missing{whom}; {remedy(rule, who)}"


def acls(kafka: settings.KafkaSettings, role: Role) -> tuple[Acl, ...]:
    """Return the rules that a role needs."""
    match role:
        case "relay":
            return _relay(kafka)
        case "web":
            return _web(kafka)
        case "producer":
            return (Acl("topic", kafka.topics.requests, ("Write",), "send requests"),)
        case "subscriber":
            return _subscriber(kafka)
        case "lineage":
            return _lineage(kafka)


def forwarding_group(kafka: settings.KafkaSettings) -> str:
    """
    Return the consumer group of all `mrs-relay lineage forward` of a deployment, for one topic of run events.

    It is the same for all tenants that share the topic, so it does not change with them.
    """
    shared = kafka.group_id.removesuffix(f".{kafka.topics.requests}")
    return f"{shared}.{kafka.topics.lineage}"


def transactional_prefix(kafka: settings.KafkaSettings) -> str:
    """Return what all transactional ids of a deployment begin with."""
    return f"{kafka.app_id}.{kafka.group_id}."


def _relay(kafka: settings.KafkaSettings) -> tuple[Acl, ...]:
    topics = kafka.topics
    known = "DescribeConfigs"
    rules = [
        Acl("topic", topics.requests, ("Read", "Write", known), "read requests; pass cancels on to other partitions"),
        Acl("topic", topics.ledger, ("Read", "Write", known), "restore jobs, and write their state"),
        Acl("topic", topics.events, ("Write", known), "publish events"),
        Acl("topic", topics.dead_letters, ("Write", known), "keep messages that name no request"),
        Acl("topic", topics.control, ("Read", known), "follow holds and other controls"),
        Acl("topic", topics.audit, ("Write", known), "keep which limits and rules were read again"),
    ]
    if topics.latest is not None:
        rules.append(Acl("topic", topics.latest, ("Write", known), "keep the latest state of each request"))
    if topics.lineage is not None:
        rules.append(Acl("topic", topics.lineage, ("Write", known), "write OpenLineage run events"))
    if topics.results is not None:
        rules.append(Acl("topic", topics.results, ("Write", known), "write rows in chunks"))
    if topics.status is not None:
        rules.append(Acl("topic", topics.status, ("Write", known), "publish queues, slots and budgets"))

    rules.append(Acl("group", kafka.group_id, ("Read",), "share the partitions with the other replicas"))
    if kafka.transactional:
        prefix, ours = transactional_prefix(kafka), "write state, events and offset together"
        rules.append(Acl("transactional-id", prefix, ("Write", "Describe"), ours, prefixed=True))
    return tuple(rules)


def _subscriber(kafka: settings.KafkaSettings) -> tuple[Acl, ...]:
    rules = (Acl("topic", kafka.topics.events, ("Read",), "read events"),)
    if kafka.topics.results is None:
        return rules
    return (*rules, Acl("topic", kafka.topics.results, ("Read",), "read rows in chunks"))


def _lineage(kafka: settings.KafkaSettings) -> tuple[Acl, ...]:
    if kafka.topics.lineage is None:
        return ()
    return (
        Acl("topic", kafka.topics.lineage, ("Read",), "read OpenLineage run events"),
        Acl("group", forwarding_group(kafka), ("Read",), "share the partitions with the other forwarders"),
    )


def _web(kafka: settings.KafkaSettings) -> tuple[Acl, ...]:
    topics = kafka.topics
    rules = [
        Acl("topic", topics.events, ("Read",), "show requests and their events"),
        Acl("topic", topics.dead_letters, ("Read",), "show messages that name no request"),
        Acl("topic", topics.requests, ("Read", "Write"), "send requests, and repeat those of the topic"),
        Acl("topic", topics.control, ("Read", "Write"), "show and set controls"),
        Acl("topic", topics.audit, ("Read", "Write"), "keep decisions, and show them"),
    ]
    if topics.status is not None:
        rules.append(Acl("topic", topics.status, ("Read",), "say why a request waits"))
    return tuple(rules)
