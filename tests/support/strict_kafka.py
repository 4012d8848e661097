"""
Three brokers that allow nothing but what `topics acls` prints.

Each role has a user with all its rights, and one without each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from tests.support import secured, service
from tests.support import web_role as web_events

from mrs_relay.cli import topic_rights
from mrs_relay.kafka import records, settings, topic_io
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import acl_plan, topic_setup

_NAME: Final = "rights"
_ROLES: Final[tuple[acl_plan.Role, ...]] = ("relay", "web", "lineage", "producer", "subscriber")
TOPICS: Final = {
    **{name: f"{_NAME}.{name.replace('_', '-')}" for name in ("requests", "events", "dead_letters", "control")},
    **{name: f"{_NAME}.{name}" for name in ("status", "audit", "lineage")},
}
CLIENT: Final[tuple[acl_plan.Role, ...]] = ("producer", "subscriber")
"""The roles of the Python client."""

FAILED: Final = "failed-1"
"""A request that can be sent again, as far as events say."""


def _settings(bootstrap: str, security: dict[str, object] | None = None) -> settings.KafkaSettings:
    given = {"bootstrap_servers": bootstrap, "app_id": _NAME, "group_id": _NAME, "topics": TOPICS}
    return settings.KafkaSettings.model_validate({**given, **({"security": security} if security else {})})


def _single(role: acl_plan.Role) -> list[acl_plan.Acl]:
    """Take the rules of a role apart: one operation each."""
    rules = acl_plan.acls(_settings("any"), role)
    return [dataclasses.replace(rule, operations=(operation,)) for rule in rules for operation in rule.operations]


def lacking(role: acl_plan.Role) -> dict[str, acl_plan.Acl]:
    """Return the users who lack one right of the role, with it."""
    return {f"{role}{number}": rule for number, rule in enumerate(_single(role))}


@dataclasses.dataclass(frozen=True, slots=True)
class Strict:
    """A Kafka that allows what its rules say and nothing else."""

    kafka: secured.Secured

    def settings(self, user: str) -> settings.KafkaSettings:
        """Return those of Kafka, with the login of a user."""
        login = {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": user, "password": secured.PASSWORD}
        return _settings(self.kafka.sasl, {**login, "ca_file": self.kafka.ca_file})

    def environment(self, user: str) -> dict[str, str]:
        """Return the same as a process takes them."""
        given = {f"KAFKA__TOPICS__{name.upper()}": value for name, value in TOPICS.items()}
        return given | self.kafka.settings("SASL_SSL", KAFKA__SECURITY__USERNAME=user)

    def deployment(self, mrs: str, workdir: Path, user: str) -> service.Deployment:
        """Return a deployment whose relays are the user."""
        more = self.environment(user)
        return service.Deployment(self.kafka.node.bootstrap, _NAME, mrs, workdir, more=more)


@contextlib.contextmanager
def started(workdir: Path) -> Iterator[Strict]:
    """Run three brokers, make the topics, and give each role's users their rights by the printed commands."""
    users = [user for role in _ROLES for user in (role, *lacking(role))]
    with secured.start_cluster(workdir, users) as kafka:
        open_ = _settings(kafka.node.bootstrap)

        async def create() -> None:
            async with client.KafkaBroker(open_).admin() as admin:
                await topic_setup.create(admin, open_)
            failed = msgspec.structs.replace(web_events.failed(FAILED, source="/test"), topic=TOPICS["events"])
            there = ("requests", "dead_letters", "control", "audit")
            await topic_io.send(client.KafkaBroker(open_), [failed, *(_outgoing(name) for name in there)])

        asyncio.run(create())
        kafka.node.tools(_allowing(rule, role) for role in _ROLES for rule in _single(role))
        yield Strict(kafka)


def _outgoing(topic: str) -> records.Outgoing:
    """Return a record that means nothing: what is empty is not fetched, and refused no reader."""
    return records.Outgoing(TOPICS[topic], b"any", b"no message")


def _allowing(rule: acl_plan.Acl, role: acl_plan.Role) -> list[str]:
    """Return the printed command for a rule, which holds for all users of the role but the one who lacks it."""
    (text,) = topic_rights.commands([rule], "any", f"User:{role}")
    words = shlex.split(text.partition("\n")[2])[3:]
    others = [name for name, without in lacking(role).items() if without != rule]
    if role in CLIENT:  # which sends and reads: who lacks a right of the one role has those of the other
        others += [name for other in CLIENT if other != role for name in (other, *lacking(other))]
    principals = [word for name in others for word in ("--allow-principal", f"User:{name}")]
    return ["org.apache.kafka.tools.AclCommand", *words, *principals]
