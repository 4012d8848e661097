"""The rights that `topics acls` prints are enough on a Kafka that allows nothing else, and each of them is needed."""

from __future__ import annotations

import asyncio
import dataclasses
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import child, secured, service, waiting

from mrs_relay.cli import topic_rights
from mrs_relay.kafka import settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import acl_plan, topic_setup

pytestmark = pytest.mark.kafka

_ALL = "relay"
_NAME = "rights"


def _settings(kafka: secured.Secured, user: str) -> settings.KafkaSettings:
    topics = {name: f"{_NAME}.{name.replace('_', '-')}" for name in ("requests", "events", "dead_letters", "control")}
    topics |= {"status": f"{_NAME}.status"}
    return settings.KafkaSettings.model_validate(
        {
            "bootstrap_servers": kafka.sasl,
            "app_id": _NAME,
            "group_id": _NAME,
            "topics": topics,
            "security": {
                "protocol": "SASL_SSL",
                "mechanism": "PLAIN",
                "ca_file": kafka.ca_file,
                "username": user,
                "password": secured.PASSWORD,
            },
        }
    )


def _single(rules: tuple[acl_plan.Acl, ...]) -> list[acl_plan.Acl]:
    """Take the rules apart: one operation each."""
    return [dataclasses.replace(rule, operations=(operation,)) for rule in rules for operation in rule.operations]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[secured.Secured, dict[str, acl_plan.Acl]]]:
    """
    Run a broker that allows what its rules say and nothing else.

    Besides the user with all rights it knows one for each of them, who lacks it.
    """
    rules = _single(acl_plan.acls(settings.KafkaSettings(app_id=_NAME, group_id=_NAME), "relay"))
    lacking = {f"without{number}": rule for number, rule in enumerate(rules)}
    with secured.start(tmp_path_factory.mktemp("strict"), users=lacking, authorized=True) as kafka:
        open_ = _settings(kafka, _ALL).model_copy(
            update={"bootstrap_servers": kafka.node.bootstrap, "security": settings.KafkaSettings().security}
        )

        async def create() -> None:
            async with client.KafkaBroker(open_).admin() as admin:
                await topic_setup.create(admin, open_)

        asyncio.run(create())
        mine = _single(acl_plan.acls(_settings(kafka, _ALL), "relay"))
        lacking = dict(zip(lacking, mine, strict=True))
        kafka.node.tools(_allowing(rule, lacking) for rule in mine)
        yield kafka, lacking


def _allowing(rule: acl_plan.Acl, lacking: dict[str, acl_plan.Acl]) -> list[str]:
    """Return the printed command for a rule, which holds for all users but the one who lacks it."""
    (text,) = topic_rights.commands([rule], "any", f"User:{_ALL}")
    words = shlex.split(text.partition("\n")[2])[3:]
    others = [name for name, without in lacking.items() if without != rule]
    principals = [word for name in others for word in ("--allow-principal", f"User:{name}")]
    return ["org.apache.kafka.tools.AclCommand", *words, *principals]


def _environment(kafka: secured.Secured, user: str) -> dict[str, str]:
    chosen = _settings(kafka, user)
    given = {f"KAFKA__TOPICS__{name.upper()}": value for name, value in chosen.topics.model_dump().items() if value}
    given |= kafka.settings("SASL_SSL", KAFKA__SECURITY__USERNAME=user)
    return given | {"KAFKA__APP_ID": _NAME, "KAFKA__GROUP_ID": _NAME}


async def test_the_printed_rights_are_enough(
    strict: tuple[secured.Secured, dict[str, acl_plan.Acl]], tmp_path: Path
) -> None:
    """A relay that has them, and no others, carries a request through, and Kafka refuses it nothing."""
    kafka, _ = strict
    with service.emulator(tmp_path, "--run-s", "1") as mrs:
        deployment = service.Deployment(kafka.node.bootstrap, _NAME, mrs.url, tmp_path, more=_environment(kafka, _ALL))
        relay = deployment.start_relay("all")
        try:
            await deployment.send([(b"k", service.job("r-1"))])
            events = await deployment.until_ended(["r-1"])
            assert events[-1].state == "succeeded", relay.log.read_text()
        finally:
            assert await asyncio.to_thread(relay.stop, 30) == 0
    text = relay.log.read_text()
    assert "uthoriz" not in text
    assert "not_allowed" not in text
    assert "a right on" not in text


async def test_without_any_one_of_them_it_says_which(
    strict: tuple[secured.Secured, dict[str, acl_plan.Acl]], tmp_path: Path
) -> None:
    """The topic and the operation, or the group, or the transactional ids; what Kafka includes is not missed."""
    kafka, lacking = strict
    silent = []
    for user, rule in lacking.items():
        if rule.kind == "group":
            said = await asyncio.to_thread(_of_a_relay, kafka, user, tmp_path)
        else:
            said = await _of_the_check(_settings(kafka, user))
        included = rule.kind == "transactional-id" and rule.operations == ("Describe",)
        expected = rule.name if rule.kind == "topic" else "a right on"
        if not included and expected not in said:
            silent.append((rule, said))
    assert silent == []


async def _of_the_check(chosen: settings.KafkaSettings) -> str:
    """Return what the check at the start of a relay says."""
    try:
        async with client.KafkaBroker(chosen).admin() as admin:
            report = await topic_setup.check(admin, chosen)
    except Exception as error:  # noqa: BLE001 - what it says is what is tested
        return str(error)
    return "\n".join(str(finding) for finding in report.findings)


def _of_a_relay(kafka: secured.Secured, user: str, workdir: Path) -> str:
    """Return the log of a relay that cannot join its group."""
    deployment = service.Deployment(
        kafka.node.bootstrap, _NAME, "http://127.0.0.1:9", workdir, more=_environment(kafka, user)
    )
    relay: child.Child = deployment.start_relay(user)
    try:
        ends_s = time.monotonic() + waiting.LIMIT_S
        while "a right on" not in (said := relay.log.read_text()) and time.monotonic() < ends_s and relay.alive:
            time.sleep(0.2)
        return said
    finally:
        relay.stop(20)
