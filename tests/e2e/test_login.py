"""
Every way to log in to a real Kafka, right and wrong: what works works, and what does not says what to check.

The relay's own clients are used in this process, as `serve`, `check` and all commands use them; `test_secured.py` plays
whole relays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import aiokafka
import pytest
from tests.support import kerberos, leaks, secured, token_endpoint, waiting

from mrs_relay import errors
from mrs_relay.kafka import broker, settings, topic_io
from mrs_relay.kafka.adapter import client, login

pytestmark = pytest.mark.kafka

_WRONG = "wrong-and-secret"
_HOST = {"kerberos_host": kerberos.BROKER_HOST}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[secured.Secured]:
    """One secured Kafka for the tests of this file, with a realm beside it."""
    folder = tmp_path_factory.mktemp("login")
    with kerberos.start(folder) as realm, secured.start(folder, realm=realm) as node:
        yield node


@pytest.fixture(scope="module")
def issuer() -> Iterator[token_endpoint.TokenEndpoint]:
    with token_endpoint.start() as endpoint:
        yield endpoint


def _security(kafka: secured.Secured, mechanism: str, **more: object) -> dict[str, object]:
    return {"protocol": "SASL_SSL", "mechanism": mechanism, "ca_file": kafka.ca_file, **more}


def _password(kafka: secured.Secured, mechanism: str, **more: object) -> dict[str, object]:
    return _security(kafka, mechanism, username=secured.USER, password=secured.PASSWORD) | more


def _token(kafka: secured.Secured, issuer: token_endpoint.TokenEndpoint, **more: object) -> dict[str, object]:
    who = {"client_id": token_endpoint.CLIENT_ID, "client_secret": token_endpoint.SECRET}
    return _security(kafka, "OAUTHBEARER", token_endpoint=issuer.url, **who) | more


def _broker(kafka: secured.Secured, security: dict[str, object]) -> client.KafkaBroker:
    address = kafka.tls if security["protocol"] == "SSL" else kafka.sasl
    given = {"bootstrap_servers": address, "request_timeout_ms": 10_000, "join_request_timeout_ms": 35_000}
    return client.KafkaBroker(settings.KafkaSettings(**given, security=security))


async def _make_topic(kafka: secured.Secured, security: dict[str, object]) -> None:
    """Use the listener for something that needs a login."""
    name = f"login-{time.time_ns()}"
    async with _broker(kafka, security).admin() as admin:
        assert await admin.create([broker.TopicSpec(name, 1, 1, {})]) == {}


async def _refused(kafka: secured.Secured, security: dict[str, object]) -> str:
    with pytest.raises(errors.StreamDown) as caught:
        await _make_topic(kafka, security)
    await leaks.until_disconnected()  # the library closes what was refused without waiting for it
    return str(caught.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_the_right_password_lets_us_in_and_a_wrong_one_names_the_settings(
    kafka: secured.Secured, mechanism: str
) -> None:
    """Kafka's own words are in the message, the password is not."""
    await _make_topic(kafka, _password(kafka, mechanism))
    said = await _refused(kafka, _password(kafka, mechanism, password=_WRONG))
    assert "it does not let us in" in said
    assert "check kafka.security.mechanism, username and password" in said
    assert _WRONG not in said


async def test_a_token_lets_us_in_and_is_used_by_all_clients(
    kafka: secured.Secured, issuer: token_endpoint.TokenEndpoint
) -> None:
    """One token serves the whole process for most of its life."""
    before, kafka_broker = issuer.issued, _broker(kafka, _token(kafka, issuer, scope="kafka"))
    for _ in range(3):
        async with kafka_broker.admin() as admin:
            await admin.create([broker.TopicSpec(f"token-{time.time_ns()}", 1, 1, {})])
    assert issuer.issued - before == 1


async def test_a_token_is_renewed_before_it_dies_and_kept_while_the_endpoint_is_away(
    kafka: secured.Secured, issuer: token_endpoint.TokenEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is due is asked for again; an endpoint that is away for a moment costs nothing."""
    monkeypatch.setattr(login, "_USED_PART", 0.0)  # of its life: each use is late enough
    kafka_broker = _broker(kafka, _token(kafka, issuer))
    await _connects(kafka_broker)
    before = issuer.issued
    issuer.is_away = True
    try:
        await _connects(kafka_broker)
    finally:
        issuer.is_away = False
    assert issuer.issued == before
    await _connects(kafka_broker)
    assert issuer.issued > before


async def _connects(kafka_broker: client.KafkaBroker) -> None:
    async with kafka_broker.admin():
        pass


_TOKEN_TROUBLES: dict[str, tuple[dict[str, object], str]] = {
    "a wrong client secret": ({"client_secret": _WRONG}, "HTTP 401; check kafka.security.client_id"),
    "no endpoint": ({"token_endpoint": "http://127.0.0.1:1/token"}, "no token from http://127.0.0.1:1/token"),
    "no file": ({"token_endpoint": None, "token_file": Path("/nowhere")}, "token_file /nowhere cannot be read"),
}


@pytest.mark.parametrize("trouble", _TOKEN_TROUBLES)
async def test_without_a_token_the_endpoint_or_file_is_named(
    kafka: secured.Secured, issuer: token_endpoint.TokenEndpoint, trouble: str
) -> None:
    """What stands between us and a token is said, and no secret."""
    changes, says = _TOKEN_TROUBLES[trouble]
    said = await _refused(kafka, _token(kafka, issuer, **changes))
    assert says in said
    assert "secret-that" not in said
    assert _WRONG not in said


async def test_an_expired_token_names_where_tokens_come_from(
    kafka: secured.Secured, issuer: token_endpoint.TokenEndpoint
) -> None:
    """The library takes a refused token for an accepted one; the message tells all the same."""
    issuer.life_s = -300.0
    try:
        said = await _refused(kafka, _token(kafka, issuer))
    finally:
        issuer.life_s = 300.0
    assert "kafka.security.token_endpoint, client_id, client_secret and scope, or token_file" in said


async def test_a_keytab_lets_us_in_and_no_ticket_names_where_tickets_come_from(
    kafka: secured.Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kerberos as on MRS security clusters: the brokers' principal need not name their host."""
    assert kafka.realm is not None
    for name, value in kafka.realm.environ(kafka.realm.client_keytab).items():
        monkeypatch.setenv(name, value)
    await _make_topic(kafka, _security(kafka, "GSSAPI", **_HOST))
    said = await _refused(kafka, _security(kafka, "GSSAPI", kerberos_host="another.mrs.test"))
    assert "not found in Kerberos database" in said
    assert "check the ticket or keytab" in said
    for name, value in kafka.realm.environ(None).items():
        monkeypatch.setenv(name, value)
    said = await _refused(kafka, _security(kafka, "GSSAPI", **_HOST))
    assert "No Kerberos credentials available" in said
    assert "KRB5_CLIENT_KTNAME" in said


async def test_a_mechanism_that_the_listener_does_not_take_is_named(mrs_free_kafka: secured.Secured) -> None:
    """A listener without Kerberos says which mechanisms it takes."""
    said = await _refused(mrs_free_kafka, _security(mrs_free_kafka, "GSSAPI", **_HOST, verify_host=False))
    assert "it does not take kafka.security.mechanism GSSAPI" in said


@pytest.fixture(scope="module")
def mrs_free_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[secured.Secured]:
    """A Kafka without a realm whose certificate is for another host, which tests may restart."""
    with secured.start(tmp_path_factory.mktemp("elsewhere"), "elsewhere.test") as node:
        yield node


async def test_a_certificate_for_another_host_is_taken_only_when_hosts_are_not_verified(
    mrs_free_kafka: secured.Secured,
) -> None:
    """Huawei Cloud DMS issues certificates without host names and asks clients to leave verification off."""
    security = _password(mrs_free_kafka, "PLAIN")
    assert "CERTIFICATE_VERIFY_FAILED" in await _refused(mrs_free_kafka, security)
    await _make_topic(mrs_free_kafka, security | {"verify_host": False})
    stranger = security | {"verify_host": False, "ca_file": mrs_free_kafka.stranger_file}
    assert "CERTIFICATE_VERIFY_FAILED" in await _refused(mrs_free_kafka, stranger)


async def test_without_a_certificate_of_ours_mutual_tls_refuses_us(kafka: secured.Secured) -> None:
    """A listener that asks for a client's certificate takes none without."""
    security: dict[str, object] = {"protocol": "SSL", "ca_file": kafka.ca_file}
    await _make_topic(kafka, security | {"cert_file": kafka.cert_file})
    said = await _refused(kafka, security)
    assert "kafka.security" in said


async def test_new_certificates_and_passwords_are_used_without_a_restart(
    mrs_free_kafka: secured.Secured, tmp_path: Path
) -> None:
    """The broker gets a new authority and the user a new password; clients that live on follow their files."""
    kafka = mrs_free_kafka
    ca_file, password_file = tmp_path / "ca.pem", tmp_path / "password"
    ca_file.write_bytes(kafka.ca_file.read_bytes())
    password_file.write_text(f"{secured.PASSWORD}\n")
    changes = {"verify_host": False, "ca_file": ca_file, "password": None, "password_file": password_file}
    kafka_broker = _broker(kafka, _password(kafka, "SCRAM-SHA-512", **changes))
    topic = f"rotated-{time.time_ns()}"
    async with kafka_broker.admin() as admin:
        assert await admin.create([broker.TopicSpec(topic, 1, 1, {})]) == {}

    async with topic_io.tail(kafka_broker, topic, topic_io.NOW) as tail:
        await asyncio.to_thread(kafka.rotate, "elsewhere.test", "another-password")
        ca_file.write_bytes(kafka.ca_file.read_bytes())
        password_file.write_text("another-password\n")
        await _send(kafka.node.bootstrap, topic)
        async with asyncio.timeout(waiting.LIMIT_S):
            while not (arrived := await tail.take(0.5)):
                pass

    assert [record.value for record in arrived] == [b"sent after the rotation"]


async def _send(bootstrap: str, topic: str) -> None:
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, b"sent after the rotation")
