"""A relay on a real Kafka behind TLS and SASL: it gets in with the right papers, and says what is wrong with others."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import child, history, secured, service, waiting

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[secured.Secured]:
    """One secured Kafka for the tests of this file."""
    with secured.start(tmp_path_factory.mktemp("secured")) as node:
        yield node


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "0.2") as playing:
        yield playing


def _reported(relay: child.Child) -> list[dict[str, Any]]:
    """Return what a relay has logged."""
    return [json.loads(line) for line in relay.log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [("SSL", "PLAIN"), ("SASL_SSL", "PLAIN"), ("SASL_SSL", "SCRAM-SHA-512")],
)
async def test_relay_works_through_a_secured_listener(
    kafka: secured.Secured, mrs: service.Emulator, tmp_path: Path, protocol: str, mechanism: str
) -> None:
    """Topics are made and a request is carried to its end by clients that know only this listener."""
    way_in = kafka.settings(protocol, mechanism)
    here = service.Deployment(kafka.node.bootstrap, f"in-{time.time_ns()}", mrs.url, tmp_path, more=way_in)
    await asyncio.to_thread(here.create_topics, 1)
    relay = here.start_relay("only")
    await here.send([(b"k", service.job("r-1"))])
    events = await here.until_ended(["r-1"])
    assert await asyncio.to_thread(relay.stop) == 0
    assert history.faults(["r-1"], events, [effect["name"] for effect in mrs.effects()]) == []
    assert secured.PASSWORD not in relay.log.read_text()


_WRONG = {
    "a broker signed by nobody we trust": (
        "SSL",
        {"KAFKA__SECURITY__CA_FILE": "stranger"},
        "CERTIFICATE_VERIFY_FAILED",
    ),
    "a wrong password": ("SASL_SSL", {"KAFKA__SECURITY__PASSWORD": "wrong-and-secret"}, "kafka.security"),
    "a listener of another kind": ("SASL_SSL", {"KAFKA__SECURITY__PROTOCOL": "SASL_PLAINTEXT"}, "kafka.security"),
}


@pytest.mark.parametrize("trouble", _WRONG)
async def test_relay_without_the_right_papers_waits_and_says_what_to_check(
    kafka: secured.Secured, mrs: service.Emulator, tmp_path: Path, trouble: str
) -> None:
    """It goes on trying, is not ready, names the settings and shows no secret; nothing is sent to MRS."""
    protocol, changes, says = _WRONG[trouble]
    files = {"stranger": str(kafka.stranger_file)}
    way_in = kafka.settings(protocol) | {name: files.get(value, value) for name, value in changes.items()}
    here = service.Deployment(kafka.node.bootstrap, f"out-{time.time_ns()}", mrs.url, tmp_path, more=way_in)
    relay = here.start_relay("only")

    def complaints() -> list[str]:
        return [entry["error"] for entry in _reported(relay) if entry["event"] == "kafka_unreachable"]

    await waiting.until(lambda: len(complaints()) >= 2)
    assert all(says in error and "kafka.bootstrap_servers" in error for error in complaints())
    assert await asyncio.to_thread(relay.stop) == 0
    text = relay.log.read_text()
    assert (secured.PASSWORD in text, "wrong-and-secret" in text) == (False, False)
