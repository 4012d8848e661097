"""The page on Kafka of Huawei Cloud is walked through: its settings, on a broker that is set up alike."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.support import child, history, kerberos, pages, secured, service, waiting

pytestmark = pytest.mark.kafka

_PAGE = "huawei-kafka.md"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[secured.Secured]:
    """A broker with passwords and Kerberos, whose certificate names another host; it makes no topics by itself."""
    folder = tmp_path_factory.mktemp("huawei")
    with kerberos.start(folder) as realm, secured.start(folder, "kafka.huawei.test", realm) as node:
        yield node


def _settings(head: str, kafka: secured.Secured, folder: Path) -> str:
    """Return the settings below a heading, with the addresses and files of the test."""
    (block,) = (each for each in pages.blocks(_PAGE) if each.head == head and each.language == "toml")
    (folder / "kafka-password").write_text(secured.PASSWORD)
    fitted = re.sub(r'bootstrap_servers = ".*"', f'bootstrap_servers = "{kafka.sasl}"', block.text)
    for name in ("phy_ca.crt", "mrs-ca.pem"):
        fitted = fitted.replace(f"/etc/mrs-relay/{name}", str(kafka.ca_file))
    fitted = fitted.replace("/etc/mrs-relay/kafka-password", str(folder / "kafka-password"))
    fitted = fitted.replace('"mrs-relay"', f'"{secured.USER}"').replace("hadoop.hadoop.com", kerberos.BROKER_HOST)
    return fitted.replace("replication_factor = 3", "replication_factor = 1")  # there is one broker


def _variables(kafka: secured.Secured) -> dict[str, str]:
    """Return the variables of the page, with the files of the test."""
    assert kafka.realm is not None
    found = dict(re.findall(r"^    export (KRB5\w+)=(\S+)$", (pages.DOCS / _PAGE).read_text(), re.MULTILINE))
    files = {"/etc/mrs-relay/krb5.conf": kafka.realm.conf, "/etc/mrs-relay/user.keytab": kafka.realm.client_keytab}
    assert found.keys() == {"KRB5_CONFIG", "KRB5_CLIENT_KTNAME", "KRB5CCNAME"}
    for old, new in files.items():
        found = {name: value.replace(old, str(new)) for name, value in found.items()}
    return found


def _run(command: str, folder: Path, environment: Mapping[str, str]) -> None:
    words = [sys.executable, "-m", "mrs_relay", *command.split()[1:]]
    made = child.Child(words, log=folder / f"command-{time.monotonic_ns()}.log", env=environment, cwd=folder)
    assert made.wait(waiting.LIMIT_S) == 0, f"{command}\n{made.log.read_text()}"


async def _walk_through(head: str, kafka: secured.Secured, folder: Path, more: Mapping[str, str]) -> None:
    """Make the topics, check them, and carry out a request, with the page's settings alone."""
    (folder / "relay.toml").write_text(_settings(head, kafka, folder))
    commands = re.findall(r"^    (mrs-relay .* --config relay.toml)$", (pages.DOCS / _PAGE).read_text(), re.MULTILINE)
    assert len(commands) == 2
    with service.emulator(folder, "--slots", "0", "--run-s", "0.2") as mrs:
        here = service.Deployment(kafka.node.bootstrap, f"huawei-{time.time_ns()}", mrs.url, folder)
        environment = {**os.environ, **here.environment(), **more}
        del environment["MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS"]
        for command in commands:
            await asyncio.to_thread(_run, command, folder, environment)

        words = [sys.executable, "-m", "mrs_relay", "serve", "--config", "relay.toml"]
        relay = child.Child(words, log=folder / "relay.log", env=environment, cwd=folder)
        await here.send([(b"k", service.job("r-1"))])
        events = await here.until_ended(["r-1"])
        assert await asyncio.to_thread(relay.stop) == 0
        assert history.faults(["r-1"], events, [effect["name"] for effect in mrs.effects()]) == []
        said = relay.log.read_text()
        assert "verify_host" in said
        assert secured.PASSWORD not in said


async def test_settings_for_dms_lead_a_relay_to_a_broker_like_it(kafka: secured.Secured, tmp_path: Path) -> None:
    """SCRAM over TLS, a certificate without the broker's name, and no topic that is made by its use."""
    await _walk_through("DMS for Kafka", kafka, tmp_path, {})


async def test_settings_for_an_mrs_cluster_lead_a_relay_to_a_broker_like_it(
    kafka: secured.Secured, tmp_path: Path
) -> None:
    """Kerberos over TLS, by a keytab and the principal of all brokers."""
    await _walk_through("The Kafka of an MRS cluster", kafka, tmp_path, _variables(kafka))
